// A 64-bit hash of weights, to notice that they changed. Not for adversaries.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace genfast::core {

// Over bytes, dtypes, shapes and order. One changed word always changes it: each step is a
// bijection of the lane it feeds. Reads the weights once, at about 8 bytes a cycle.
uint64_t weight_hash(const std::vector<Tensor>& tensors);

}  // namespace genfast::core
