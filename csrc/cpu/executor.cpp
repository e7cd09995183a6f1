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

// Readers load whole vectors past a buffer's end, so a row has a line to spare. An odd number of
// cache lines a row keeps the rows of a tile off each other's cache sets.
//
// An image keeps many rows, which have to come from far: there a row is as short as it can be, with
// nothing to spare where its width is whole vectors.
int64_t stride_of(int64_t width, program::Order order) {
  constexpr int64_t kLine = 16;
  constexpr int64_t kSets = 8;  // rows this many lines long meet in few of a cache's sets
  const int64_t lines = (width + kLine - 1) / kLine;
  if (order == program::Order::kSequence) return ((lines + 1) | 1) * kLine;
  const int64_t needed = lines + (width % kLine != 0);
  return (needed % kSets == 0 ? needed + 1 : needed) * kLine;
}

int32_t ring(int values) {
  return static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(values)));
}

// flight: rows of an image begun and not finished, each of which needs rows of its own.
Layout layout_of(
    const program::Program& program,
    const program::Buffer& buffer,
    const Reach& reach,
    int flight) {
  Layout layout;
  layout.stride = buffer.kind == program::Kind::kSym ? 1 : stride_of(buffer.width, program.order());
  const Phase phase = program.instructions()[static_cast<size_t>(buffer.writer)].phase;
  if (phase == Phase::kStart) return layout;
  if (program.order() == program::Order::kSequence) {
    layout.slots = ring(reach.left + 1);
    layout.column_mask = layout.slots - 1;
    return layout;
  }
  layout.up = reach.up;
  layout.ring_rows = reach.up + flight;
  if (phase == Phase::kRow || reach.up + reach.left + reach.right > 0) {
    layout.column_mask = -1;
    layout.left = reach.left;
    layout.row_slots = static_cast<int32_t>(reach.left + program.columns() + reach.right);
  } else if (flight > 1) {
    // Threads write the slots of different rows: far enough apart not to be fetched ahead together,
    // and 36 lines, so that those of one thread lie in cache sets of their own.
    constexpr int64_t kApart = 576;
    layout.row_slots = static_cast<int32_t>((kApart + layout.stride - 1) / layout.stride);
  }
  layout.slots = layout.ring_rows * layout.row_slots;
  return layout;
}

// What reads the targets of `index` at its own site and does nothing but relu(y), in the same
// phase: its values can be written where y is, to the same bits. -1: nothing.
int relu_behind(const program::Program& program, size_t index) {
  const std::vector<program::Instruction>& all = program.instructions();
  const program::Instruction& sum = all[index];
  if (sum.op != program::Op::kSum || sum.epilogue != program::Epilogue::kNone) return -1;
  for (size_t i = index + 1; i < all.size(); ++i) {
    const program::Instruction& next = all[i];
    if (next.op != program::Op::kSum || next.phase != sum.phase || !next.bias.empty()) continue;
    if (next.epilogue != program::Epilogue::kRelu || next.terms.size() != 1) continue;
    const program::Term& term = next.terms[0];
    if (term.kind == program::TermKind::kAdd && term.ref.buffer == sum.targets[0] &&
        term.ref.dy == 0 && term.ref.dx == 0)
      return static_cast<int>(i);
  }
  return -1;
}

void check_runnable(const program::Program& program, const program::Instruction& instruction) {
  if (instruction.op == program::Op::kInput && instruction.phase == Phase::kRow) {
    const program::Buffer& buffer = program.buffers()[static_cast<size_t>(instruction.targets[0])];
    core::require(
        buffer.kind == program::Kind::kF32, "Executor: the input ", buffer.name,
        ", known ahead of each row, must be f32, got a symbol");
  }
  if (program.order() == program::Order::kRaster) return;
  for (const program::Ref& ref : instruction.refs())
    core::require(
        ref.dx <= 0, "Executor: a sequence cannot look ahead of its site, got ",
        program.buffers()[static_cast<size_t>(ref.buffer)].name, "[+0,+", ref.dx, "]");
}

}  // namespace

Executor::Executor(std::shared_ptr<const program::Program> program, const std::string& isa)
    : program_(std::move(program)), kernels_(&kernels_for(isa)) {
  core::require(program_->finished(), "Executor: program must be finished");
  layouts_ = layouts(1);
  const std::vector<program::Instruction>& all = program_->instructions();
  relu_of_.assign(all.size(), -1);
  absorbed_.assign(all.size(), false);
  for (size_t i = 0; i < all.size(); ++i) {
    check_runnable(*program_, all[i]);
    packed_.push_back(
        all[i].op == program::Op::kSum ? pack(*program_, all[i], kernels_->lanes) : PackedSum{});
    matrix_bytes_ += static_cast<int64_t>(packed_.back().weights.bytes());
    if (program_->order() != program::Order::kRaster || absorbed_[i]) continue;
    relu_of_[i] = relu_behind(*program_, i);
    if (relu_of_[i] >= 0) absorbed_[static_cast<size_t>(relu_of_[i])] = true;
  }
  if (program_->order() == program::Order::kRaster) lags_ = lags_of(*program_);
  std::vector<int64_t> strides;
  for (const Layout& layout : layouts_) strides.push_back(layout.stride);
  homes_ = homes_of(*program_, strides, lags_, relu_of_);
}

std::vector<Layout> Executor::layouts(int flight) const {
  const std::vector<Reach> reach = reaches(*program_);
  std::vector<Layout> layouts;
  for (size_t i = 0; i < program_->buffers().size(); ++i)
    layouts.push_back(layout_of(*program_, program_->buffers()[i], reach[i], flight));
  return layouts;
}

int64_t Executor::row_bytes() const {
  int64_t total = 0;
  for (size_t i = 0; i < layouts_.size(); ++i)
    if (homes_[i] == i) total += layouts_[i].row_slots * layouts_[i].stride * 4;
  return total;
}

size_t Executor::packed_bytes() const {
  size_t total = 0;
  for (const PackedSum& sum : packed_) total += sum.bytes();
  return total;
}

}  // namespace genfast::cpu
