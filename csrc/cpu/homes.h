// Memory that the values of a site take over from each other.
//
//   a1 = a0 + W n0      writes over a0, element by element, where nobody reads a0 any more
//   n1 = relu(...)      lies where n0 lay
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "program/program.h"

namespace genfast::cpu {

// Of each buffer, the one whose memory it lies in; its own, but for site values of a raster that
// no other site reads. strides: floats a row of each, 0 for a buffer that other sites read.
// relu_of: of each sum, the one that is stored with it, or -1.
std::vector<size_t> homes_of(
    const program::Program& program,
    const std::vector<int64_t>& strides,
    const std::vector<int>& relu_of);

}  // namespace genfast::cpu
