// Makes the plan of a program on a GPU of given limits, without one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/plan/plan.h"
#include "program/program.h"

namespace genfast::cuda {

// What a device offers.
struct Limits {
  int32_t cluster = 16;           // blocks of the largest cluster; 1 before sm_90
  int32_t blocks = 132;           // that run at the same time, one a multiprocessor
  int64_t shared_bytes = 232448;  // of a block
};

struct Plan {
  PlanHeader header{};
  std::vector<StepPlan> steps;
  std::vector<TermPlan> terms;
  std::vector<BufferPlan> buffers;
  std::vector<std::string> names;  // of the buffers
  int64_t machines = 1;            // that the device seats
  bool streams = false;            // some weights of products stay in device memory

  int barriers() const;  // of a tick
};

// The smallest cluster that holds the weights of all products, else the whole grid. `batch` settles
// only how many rows a machine draws at once, so that what lies in an image does not depend on it.
//
// Throws std::invalid_argument where no machine of these limits can run the program.
Plan make_plan(
    const program::Program& program,
    Precision precision,
    const Limits& limits,
    int64_t batch);

// The packed weights of block `rank`.
std::vector<std::byte> pack_image(const program::Program& program, const Plan& plan, int rank);

}  // namespace genfast::cuda
