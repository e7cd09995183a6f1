// A GPU on a host: the kernel's own source, run block by block, and every access to memory watched.
//
// Blocks of a machine take turns: each runs until it waits at a barrier, in an order that is
// shuffled anew behind every barrier, as the items of `each` are. A word knows who wrote it and who
// read it, and since which barrier; an access that another order could turn into another value ends
// the run:
//
//   of two blocks     a word that one of them writes, both without a barrier between
//   of two threads    the same within a block, without a `sync` between
//   of nobody         a word that is read and was never written
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "cuda/kernel/launch.h"
#include "cuda/plan/planner.h"

namespace genfast::cuda {

// What went wrong in a simulated run: a race, or an access outside of its memory.
class RaceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Runs one launch; returns the least failure. Throws RaceError. Weights, memory of blocks and of
// machines are the simulation's own; everything else is as the launch says.
unsigned long long simulate(
    const Plan& plan,
    const std::vector<std::byte>& images,
    Launch launch,
    uint64_t seed);

}  // namespace genfast::cuda
