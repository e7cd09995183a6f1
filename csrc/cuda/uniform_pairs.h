// Uniforms of samples, two neighbouring draws at a time: the words of one block. For kernels of a
// GPU, and for tests on a host.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/threefry.h"

namespace genfast::cuda {

// The draws first .. first + columns - 1 of a sample go to `out`.
struct UniformRow {
  uint64_t seed;
  uint32_t sample;
  uint64_t first;
  uint64_t columns;
  float* out;
};

// Blocks that reach into `columns` draws from `first` on. Where `first` is odd, the block of column
// 0 began one draw earlier, which is not written.
GENFAST_HOST_DEVICE uint64_t blocks_of(uint64_t first, uint64_t columns) {
  return ((first & 1) + columns + 1) / 2;
}

GENFAST_HOST_DEVICE void fill_block(const UniformRow& row, uint64_t block) {
  const core::Words words = core::threefry2x32(
      static_cast<uint32_t>(row.seed), static_cast<uint32_t>(row.seed >> 32), row.sample,
      static_cast<uint32_t>(row.first / 2 + block));
  const uint64_t column = 2 * block - (row.first & 1);  // wraps where nothing is written
  if (column < row.columns) row.out[column] = core::uniform(words.first);
  if (column + 1 < row.columns) row.out[column + 1] = core::uniform(words.second);
}

// Rows that have a seed, an index and a first draw each.
struct UniformRows {
  const int64_t* seeds;
  const int64_t* indices;
  const int64_t* first;
  uint64_t rows;
  uint64_t columns;
  float* out;
};

GENFAST_HOST_DEVICE UniformRow row_of(const UniformRows& all, uint64_t row) {
  return {
      static_cast<uint64_t>(all.seeds[row]), static_cast<uint32_t>(all.indices[row]),
      static_cast<uint64_t>(all.first[row]), all.columns, all.out + row * all.columns};
}

}  // namespace genfast::cuda
