// Memory that the values of a site take over from each other.
//
//   a1 = a0 + W n0      writes over a0, element by element, where nobody reads a0 any more
//   n1 = relu(...)      lies where n0 lay
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/lags.h"
#include "program/program.h"

namespace genfast::cpu {

// Of each buffer, the one whose memory it lies in; its own, but for values of a raster that are
// read at their own site and phase only. Of row code they must also be read as far behind the row
// above as they were written, so that reader and writer run over the same columns.
// strides: floats a row of each. relu_of: of each sum, the one that is stored with it, or -1.
std::vector<size_t> homes_of(
    const program::Program& program,
    const std::vector<int64_t>& strides,
    const Lags& lags,
    const std::vector<int>& relu_of);

}  // namespace genfast::cpu
