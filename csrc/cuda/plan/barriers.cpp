#include "cuda/plan/barriers.h"

#include <algorithm>
#include <bit>

namespace genfast::cuda {
namespace {

using program::Instruction;
using program::Program;
using program::Ref;

// Whether the blocks meet behind step `from` and not behind step `to`; of the next tick, if
// `later`.
bool meet(const std::vector<bool>& barriers, int once, int from, int to, bool later) {
  const int end = later ? static_cast<int>(barriers.size()) : to + 1;
  for (int step = from + 1; step < end; ++step)
    if (barriers[static_cast<size_t>(step)]) return true;
  for (int step = once; later && step <= to; ++step)
    if (barriers[static_cast<size_t>(step)]) return true;
  return false;
}

// Whether the ring of a sequence's buffer has more slots than are read, so that a whole tick lies
// between the last reading of one and its next writing.
bool has_spare_slot(const Program& program, size_t buffer) {
  if (program.order() == program::Order::kRaster) return false;
  int slots = 1;
  for (const Instruction& instruction : program.instructions())
    for (const Ref& ref : instruction.refs())
      if (ref.buffer == static_cast<int>(buffer)) slots = std::max(slots, 1 - ref.dx);
  return !std::has_single_bit(static_cast<unsigned>(slots));
}

// A value that another block writes at step `writer` and a step reads, `ticks` ticks later.
struct Reading {
  int writer;
  int reader;
  int ticks;
};

std::vector<Reading> readings(
    const Program& program,
    const Schedule& schedule,
    const Dealing& dealing) {
  std::vector<Reading> all;
  for (int reader = 0; reader < static_cast<int>(schedule.order.size()); ++reader) {
    const int number = schedule.order[static_cast<size_t>(reader)];
    for (const Ref& ref : program.instructions()[static_cast<size_t>(number)].refs()) {
      if (dealing.places[static_cast<size_t>(ref.buffer)] != Place::kShared ||
          reads_own(program, dealing, number, ref))
        continue;
      const int from = program.buffers()[static_cast<size_t>(ref.buffer)].writer;
      const int writer = place_in(schedule, from);
      // Behind the start all blocks meet.
      if ((writer < schedule.once) != (reader < schedule.once)) continue;
      all.push_back({writer, reader, ticks_since(schedule, number, ref, from)});
    }
  }
  return all;
}

}  // namespace

int place_in(const Schedule& schedule, int writer) {
  const auto found = std::find(schedule.order.begin(), schedule.order.end(), writer);
  return found == schedule.order.end() ? -1 : static_cast<int>(found - schedule.order.begin());
}

int last_reader(const Program& program, const Schedule& schedule, int buffer) {
  for (int step = static_cast<int>(schedule.order.size()); step-- > 0;)
    for (const Ref& ref :
         program.instructions()[static_cast<size_t>(schedule.order[static_cast<size_t>(step)])]
             .refs())
      if (ref.buffer == buffer) return step;
  return -1;
}

std::vector<bool> barriers_of(
    const Program& program,
    const Schedule& schedule,
    const Dealing& dealing) {
  const std::vector<Place>& places = dealing.places;
  std::vector<bool> barriers(schedule.order.size(), false);
  const std::vector<Reading> all = readings(program, schedule, dealing);
  const auto place_for = [&](const Reading& reading) {
    if (!meet(barriers, schedule.once, reading.writer, reading.reader, reading.ticks > 0))
      barriers[static_cast<size_t>(reading.reader)] = true;
  };
  // Each as late as can be, those first that leave the least choice.
  for (const Reading& reading : all)
    if (reading.ticks == 0) place_for(reading);
  for (const Reading& reading : all)
    if (reading.ticks == 1) place_for(reading);
  for (size_t i = 0; i < places.size(); ++i) {
    const int writer = place_in(schedule, program.buffers()[i].writer);
    if (places[i] != Place::kShared || writer < schedule.once || has_spare_slot(program, i))
      continue;
    const int last = std::max(writer, last_reader(program, schedule, static_cast<int>(i)));
    if (!meet(barriers, schedule.once, last, writer, true))
      barriers[static_cast<size_t>(writer)] = true;
  }
  // Whatever is a whole tick apart needs one anywhere in a tick.
  const int end = static_cast<int>(barriers.size());
  for (const Reading& reading : all)
    if (reading.ticks > 1 && !meet(barriers, schedule.once, schedule.once - 1, end - 1, false))
      place_for(reading);
  return barriers;
}

}  // namespace genfast::cuda
