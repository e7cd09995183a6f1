// How draws are bent, checked for whoever runs a program.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "program/program.h"

namespace genfast::program {

// One of each a row of the batch; borrowed.
struct Options {
  const float* temperature;  // finite, at least 0
  const int64_t* top_k;      // 0: off
  const float* top_p;        // in (0, 1], 1: off
};

// Throws std::invalid_argument naming the option and the row.
Options checked_options(
    const Program& program,
    int64_t batch,
    const core::Tensor& temperature,
    const core::Tensor& top_k,
    const core::Tensor& top_p);

}  // namespace genfast::program
