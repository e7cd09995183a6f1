// Which units of a sum belong to which block, and where the values that it defines must be seen.
#pragma once

#include <vector>

#include "cuda/plan/plan.h"
#include "cuda/plan/schedule.h"
#include "program/program.h"

namespace genfast::cuda {

// How the units of one sum are dealt over the blocks of a machine.
//
// Block b defines units q * period + u, u in [b * chunk, (b + 1) * chunk) and below period, for
// every q. A sum of its own deals its units in one stretch (period = units). One that is added into
// a gated sum of 64 units, 128 wide, has period 64: a block that owns unit u of the gate owns both
// of its pre-activations, u and 64 + u.
struct Deal {
  int32_t period = 0;
  int32_t chunk = 0;
  bool repeated = false;  // every block defines every unit
};

struct Dealing {
  std::vector<Deal> sums;     // of each instruction
  std::vector<Place> places;  // of each buffer
};

// Whether a block reads of this ref of an instruction nothing but what it has defined itself:
// element by element, of a sum that is dealt alike.
bool reads_own(
    const program::Program& program,
    const Dealing& dealing,
    int instruction,
    const program::Ref& ref);

Dealing deal(const program::Program& program, const Schedule& schedule, int blocks);

}  // namespace genfast::cuda
