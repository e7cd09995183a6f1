#include "cpu/homes.h"

#include <algorithm>
#include <numeric>

namespace genfast::cpu {
namespace {

using program::Instruction;
using program::Op;
using program::Program;
using program::Ref;

// From the instruction that writes a buffer to the last that reads it.
struct Life {
  int64_t born = 0;
  int64_t last = 0;
};

std::vector<Life> lives_of(const Program& program, const std::vector<int>& relu_of) {
  const std::vector<Instruction>& all = program.instructions();
  std::vector<Life> lives(program.buffers().size());
  const auto begin = [&](int buffer, size_t at) {
    lives[static_cast<size_t>(buffer)] = {static_cast<int64_t>(at), static_cast<int64_t>(at)};
  };
  for (size_t i = 0; i < all.size(); ++i)
    for (const int target : all[i].targets) begin(target, i);
  for (size_t i = 0; i < all.size(); ++i)
    if (relu_of[i] >= 0) begin(all[static_cast<size_t>(relu_of[i])].targets[0], i);
  for (size_t i = 0; i < all.size(); ++i)
    for (const Ref& ref : all[i].refs()) {
      int64_t& last = lives[static_cast<size_t>(ref.buffer)].last;
      last = std::max(last, static_cast<int64_t>(i));
    }
  return lives;
}

// Whether a sum reads a buffer as one addend, which its result may then replace in place.
bool only_adds(const Instruction& sum, int buffer) {
  if (sum.op != Op::kSum || program::gates_of(sum.epilogue) != 1) return false;
  for (const Ref& state : sum.states)
    if (state.buffer == buffer) return false;
  return std::none_of(sum.terms.begin(), sum.terms.end(), [&](const program::Term& term) {
    return term.ref.buffer == buffer && term.kind != program::TermKind::kAdd;
  });
}

// Buffers whose values die at the site, and the row code or site code, that writes them.
std::vector<bool> passing_of(const Program& program, const Lags& lags) {
  const std::vector<Instruction>& all = program.instructions();
  const auto writer_of = [&](size_t buffer) {
    return static_cast<size_t>(program.buffers()[buffer].writer);
  };
  std::vector<bool> passing(program.buffers().size());
  for (size_t i = 0; i < passing.size(); ++i)
    passing[i] = program.buffers()[i].kind == program::Kind::kF32 &&
                 all[writer_of(i)].op == Op::kSum &&
                 all[writer_of(i)].phase != program::Phase::kStart;
  for (size_t i = 0; i < all.size(); ++i)
    for (const Ref& ref : all[i].refs()) {
      const size_t buffer = static_cast<size_t>(ref.buffer);
      const size_t writer = writer_of(buffer);
      const bool together = all[i].phase == program::Phase::kSite || lags.of[i] == lags.of[writer];
      if (ref.dy != 0 || ref.dx != 0 || all[i].phase != all[writer].phase || !together)
        passing[buffer] = false;
    }
  return passing;
}

}  // namespace

std::vector<size_t> homes_of(
    const Program& program,
    const std::vector<int64_t>& strides,
    const Lags& lags,
    const std::vector<int>& relu_of) {
  const std::vector<program::Buffer>& buffers = program.buffers();
  std::vector<size_t> homes(buffers.size());
  std::iota(homes.begin(), homes.end(), size_t{0});
  if (program.order() != program::Order::kRaster) return homes;
  const std::vector<Life> lives = lives_of(program, relu_of);
  const std::vector<bool> passing = passing_of(program, lags);
  const auto phase_of = [&](size_t buffer) {
    return program.instructions()[static_cast<size_t>(buffers[buffer].writer)].phase;
  };
  std::vector<size_t> order(homes);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return lives[a].born < lives[b].born;
  });
  // Of each home, the buffer that lies there last.
  std::vector<size_t> holders;
  for (const size_t buffer : order) {
    if (!passing[buffer]) continue;
    const Instruction& writer = program.instructions()[static_cast<size_t>(lives[buffer].born)];
    const auto free = std::find_if(holders.begin(), holders.end(), [&](size_t holder) {
      const bool in_place = lives[holder].last == lives[buffer].born &&
                            writer.targets[0] == static_cast<int>(buffer) &&
                            only_adds(writer, static_cast<int>(holder));
      return strides[holder] == strides[buffer] && phase_of(holder) == phase_of(buffer) &&
             (lives[holder].last < lives[buffer].born || in_place);
    });
    if (free == holders.end()) {
      holders.push_back(buffer);
      continue;
    }
    homes[buffer] = homes[*free];
    *free = buffer;
  }
  return homes;
}

}  // namespace genfast::cpu
