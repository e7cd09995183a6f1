// Weights in the order in which the kernel reads them (kernels.h describes it).
#pragma once

#include <vector>

#include "core/memory.h"
#include "cpu/kernels.h"
#include "program/program.h"

namespace genfast::cpu {

struct PackedSum {
  int32_t units;
  int32_t vectors;       // of a panel
  int32_t last_vectors;  // of the last panel
  int32_t panels;
  int32_t depth;  // k of all matrix terms together
  int64_t packed_width;
  core::Aligned<float> weights;
  core::Aligned<float> bias;
  std::vector<core::Aligned<float>> tables;  // one a term, empty for those that are no table

  size_t bytes() const;
};

PackedSum pack(const program::Program& program, const program::Instruction& sum, int lanes);

}  // namespace genfast::cpu
