#include "cpu/lags.h"

#include <algorithm>
#include <climits>
#include <stdexcept>

namespace genfast::cpu {
namespace {

using program::Instruction;
using program::Phase;
using program::Program;
using program::Ref;

// What needs nothing of the row above: low enough that no dx brings it back.
constexpr int kNothing = INT_MIN / 2;

// Values of its own row that site code writes stand ready when the site's thread comes to them.
bool by_row_code(const Program& program, const Ref& ref) {
  const int writer = program.buffers()[static_cast<size_t>(ref.buffer)].writer;
  return program.instructions()[static_cast<size_t>(writer)].phase == Phase::kRow;
}

int lag_of(const Program& program, const Ref& ref, const std::vector<int>& lags) {
  if (ref.dy < 0) return ref.dx;
  if (!by_row_code(program, ref)) return kNothing;
  const int writer = program.buffers()[static_cast<size_t>(ref.buffer)].writer;
  const int lag = lags[static_cast<size_t>(writer)];
  return lag == kNothing ? kNothing : lag + ref.dx;
}

// States the same from the other side: with the row above finished up to column x + lag, is every
// value that an instruction reads at column x there?
void check(const Program& program, const Lags& lags) {
  for (size_t i = 0; i < lags.of.size(); ++i) {
    if (program.instructions()[i].phase == Phase::kStart) continue;
    const bool site = program.instructions()[i].phase == Phase::kSite;
    const int ahead = site ? lags.site : lags.of[i];
    for (const Ref& ref : program.instructions()[i].refs()) {
      const int writer = program.buffers()[static_cast<size_t>(ref.buffer)].writer;
      const bool above = ref.dy < 0 && ref.dx > ahead;
      const int its = lags.of[static_cast<size_t>(writer)];
      const bool beside =
          ref.dy == 0 && by_row_code(program, ref) && its != kNothing && its + ref.dx > ahead;
      if (above || beside || ahead > lags.site)
        throw std::logic_error(core::text("lags: instruction ", i, " runs ahead of what it reads"));
    }
  }
}

}  // namespace

Lags lags_of(const Program& program) {
  Lags lags;
  lags.of.assign(program.instructions().size(), kNothing);
  // Site code may read what row code further down the list writes.
  for (const Phase phase : {Phase::kRow, Phase::kSite})
    for (size_t i = 0; i < lags.of.size(); ++i) {
      const Instruction& instruction = program.instructions()[i];
      if (instruction.phase != phase) continue;
      for (const Ref& ref : instruction.refs())
        lags.of[i] = std::max(lags.of[i], lag_of(program, ref, lags.of));
      lags.site = std::max(lags.site, lags.of[i]);
    }
  check(program, lags);
  return lags;
}

}  // namespace genfast::cpu
