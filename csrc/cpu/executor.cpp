#include "cpu/executor.h"

#include <algorithm>
#include <bit>

#include "cpu/dispatch.h"

namespace genfast::cpu {
namespace {

using program::Phase;

// How far readers look: up, left and right.
struct Reach {
  int up = 0;
  int left = 0;
  int right = 0;
};

std::vector<Reach> reaches(const program::Program& program) {
  std::vector<Reach> reach(program.buffers().size());
  for (const program::Instruction& instruction : program.instructions())
    for (const program::Ref& ref : instruction.refs()) {
      Reach& of = reach[static_cast<size_t>(ref.buffer)];
      of.up = std::max(of.up, -ref.dy);
      of.left = std::max(of.left, -ref.dx);
      of.right = std::max(of.right, ref.dx);
    }
  return reach;
}

// Readers load whole vectors past a buffer's end, so a row has one to spare. An odd number of cache
// lines a row keeps the rows of a tile off each other's cache sets.
int64_t stride_of(int64_t width) {
  constexpr int64_t kLine = 16;
  const int64_t lines = (width + kLine - 1) / kLine + 1;
  return (lines | 1) * kLine;
}

Layout layout_of(
    const program::Program& program,
    const program::Buffer& buffer,
    const Reach& reach) {
  Layout layout;
  layout.stride = buffer.kind == program::Kind::kSym ? 1 : stride_of(buffer.width);
  const Phase phase = program.instructions()[static_cast<size_t>(buffer.writer)].phase;
  layout.one_slot =
      phase == Phase::kStart || (phase == Phase::kSite && reach.up + reach.left + reach.right == 0);
  if (layout.one_slot) return layout;
  const auto ring = [](int reach) {
    return static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(reach) + 1));
  };
  if (program.order() == program::Order::kSequence) {
    layout.slots = ring(reach.left);
    layout.column_mask = layout.slots - 1;
    return layout;
  }
  layout.left = reach.left;
  layout.row_mask = ring(reach.up) - 1;
  layout.row_slots = static_cast<int32_t>(reach.left + program.columns() + reach.right);
  layout.slots = (layout.row_mask + 1) * layout.row_slots;
  return layout;
}

}  // namespace

Executor::Executor(std::shared_ptr<const program::Program> program, const std::string& isa)
    : program_(std::move(program)), kernels_(&kernels_for(isa)) {
  core::require(program_->finished(), "Executor: program must be finished");
  const std::vector<Reach> reach = reaches(*program_);
  for (size_t i = 0; i < program_->buffers().size(); ++i)
    layouts_.push_back(layout_of(*program_, program_->buffers()[i], reach[i]));
  for (const program::Instruction& instruction : program_->instructions()) {
    core::require(
        instruction.op != program::Op::kInput || instruction.phase == Phase::kStart,
        "Executor: inputs must be known from the start, got one known ahead of each row");
    core::require(
        static_cast<int>(instruction.terms.size()) <= kMaxTerms,
        "Executor: a sum must have at most ", kMaxTerms, " terms, got ", instruction.terms.size());
    draws_ += instruction.op == program::Op::kDraw;
    packed_.push_back(
        instruction.op == program::Op::kSum ? pack(*program_, instruction, kernels_->lanes)
                                            : PackedSum{});
    matrix_bytes_ += static_cast<int64_t>(packed_.back().weights.bytes());
  }
}

size_t Executor::packed_bytes() const {
  size_t total = 0;
  for (const PackedSum& sum : packed_) total += sum.bytes();
  return total;
}

}  // namespace genfast::cpu
