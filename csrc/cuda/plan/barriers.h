// Where the blocks of a machine must meet.
#pragma once

#include <vector>

#include "cuda/plan/dealing.h"
#include "cuda/plan/schedule.h"
#include "program/program.h"

namespace genfast::cuda {

// Of each step of the schedule, whether the blocks meet before it.
//
//   read behind write   a shared value is read only behind a barrier since it was written,
//   write behind read   and its memory is written again only behind one since it was last read
//
// Steps of the start are a list; the others go round and round.
std::vector<bool> barriers_of(
    const program::Program& program,
    const Schedule& schedule,
    const Dealing& dealing);

// The place in the schedule where a buffer is read last within a tick, or -1.
int last_reader(const program::Program& program, const Schedule& schedule, int buffer);

// Of a buffer that instruction `writer` writes, its place in the schedule.
int place_in(const Schedule& schedule, int writer);

}  // namespace genfast::cuda
