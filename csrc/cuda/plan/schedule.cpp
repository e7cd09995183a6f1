#include "cuda/plan/schedule.h"

#include <algorithm>
#include <stdexcept>

namespace genfast::cuda {
namespace {

using program::Instruction;
using program::Op;
using program::Phase;
using program::Program;
using program::Ref;

const Instruction& writer_of(const Program& program, const Ref& ref) {
  const int writer = program.buffers()[static_cast<size_t>(ref.buffer)].writer;
  return program.instructions()[static_cast<size_t>(writer)];
}

// What steps write at their own ticks: neither inputs nor what is known from the start.
bool by_tick(const Program& program, const Ref& ref) {
  const Instruction& writer = writer_of(program, ref);
  return writer.op != Op::kInput && writer.phase != Phase::kStart;
}

int ceil_divide(int a, int b) { return a <= 0 ? -(-a / b) : (a + b - 1) / b; }

// Columns that the site of row y + dy must be past that of row y, for ref to be there a tick
// before.
int needed_skew(int ahead, const Ref& ref, int ahead_of_writer) {
  return ceil_divide(ahead + ref.dx - ahead_of_writer + 1, -ref.dy);
}

}  // namespace

Schedule schedule_of(const Program& program) {
  Schedule schedule;
  const std::vector<Instruction>& all = program.instructions();
  for (const Phase phase : {Phase::kStart, Phase::kRow, Phase::kSite}) {
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i].phase == phase && all[i].op != Op::kInput)
        schedule.order.push_back(static_cast<int>(i));
    if (phase == Phase::kStart) schedule.once = static_cast<int>(schedule.order.size());
  }
  schedule.ahead.assign(all.size(), 0);
  if (program.order() == program::Order::kSequence) return schedule;
  // Readers stand behind writers, so from the last step to the first every reader is settled.
  for (auto at = schedule.order.rbegin(); at != schedule.order.rend() - schedule.once; ++at) {
    const int ahead = schedule.ahead[static_cast<size_t>(*at)];
    for (const Ref& ref : all[static_cast<size_t>(*at)].refs()) {
      if (ref.dy != 0 || !by_tick(program, ref)) continue;
      const Instruction& writer = writer_of(program, ref);
      if (writer.phase != Phase::kRow) continue;
      int& its = schedule.ahead[static_cast<size_t>(&writer - all.data())];
      its = std::max(its, ahead + ref.dx);
    }
    schedule.most_ahead = std::max(schedule.most_ahead, ahead);
  }
  for (auto at = schedule.order.begin() + schedule.once; at != schedule.order.end(); ++at)
    for (const Ref& ref : all[static_cast<size_t>(*at)].refs())
      if (ref.dy < 0 && by_tick(program, ref)) {
        const size_t writer = static_cast<size_t>(&writer_of(program, ref) - all.data());
        const int ahead = schedule.ahead[static_cast<size_t>(*at)];
        schedule.skew = std::max(schedule.skew, needed_skew(ahead, ref, schedule.ahead[writer]));
      }
  check(program, schedule);
  return schedule;
}

// A value of column c of row y is written at tick y * skew + c - ahead.
int ticks_since(const Schedule& schedule, int reader, const Ref& ref, int writer) {
  return schedule.ahead[static_cast<size_t>(writer)] - schedule.ahead[static_cast<size_t>(reader)] -
         ref.dx - ref.dy * schedule.skew;
}

// States it from the other side: what is read was written at an earlier tick, or at the same by an
// earlier step.
void check(const Program& program, const Schedule& schedule) {
  std::vector<int> place(program.instructions().size(), -1);
  for (size_t i = 0; i < schedule.order.size(); ++i)
    place[static_cast<size_t>(schedule.order[i])] = static_cast<int>(i);
  for (auto at = schedule.order.begin() + schedule.once; at != schedule.order.end(); ++at) {
    const auto reader = static_cast<size_t>(*at);
    for (const Ref& ref : program.instructions()[reader].refs()) {
      if (!by_tick(program, ref)) continue;
      const auto writer =
          static_cast<size_t>(program.buffers()[static_cast<size_t>(ref.buffer)].writer);
      const int ticks =
          ticks_since(schedule, static_cast<int>(reader), ref, static_cast<int>(writer));
      if (ticks > 0 || (ticks == 0 && ref.dy == 0 && place[writer] < place[reader])) continue;
      throw std::logic_error(
          core::text("schedule: instruction ", reader, " runs ahead of what it reads"));
    }
  }
}

}  // namespace genfast::cuda
