// Where things lie: units of a block, weights in an image. Shared by whoever writes and reads them.
#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "cuda/plan/plan.h"

namespace genfast::cuda {

// The unit of the whole that is unit `own` of block `rank`, or -1 where the last block has fewer.
GENFAST_HOST_DEVICE int unit_of(const StepPlan& step, int rank, int own) {
  const int in_period = (step.repeated != 0 ? 0 : rank * step.chunk) + own % step.chunk;
  return in_period < step.period ? own / step.chunk * step.period + in_period : -1;
}

// Of float32 weights, [row / 4][k / 32][row % 4][k % 32] floats; `depth` counts tiles of k before
// the term's own.
GENFAST_HOST_DEVICE int64_t dot_place(const StepPlan& step, int depth, int row, int k) {
  const int64_t tile = int64_t{row / kDotRows} * step.depth + depth + k / kDotDepth;
  return (tile * kDotRows + row % kDotRows) * kDotDepth + k % kDotDepth;
}

// Whether a tile that begins at this row has all of its rows; the last one of a block may have
// half.
GENFAST_HOST_DEVICE bool whole_tile(const StepPlan& step, int row) {
  return row / kTileRows < step.rows / kTileRows;
}

// Of bfloat16 weights: thread 4 * (row % 8) + k / 2 % 4 of a warp holds, of a tile of 16 x 16, the
// pairs (row, k), (row + 8, k), (row, k + 8), (row + 8, k + 8); of half a tile (row, k), (row, k +
// 8).
GENFAST_HOST_DEVICE int64_t tile_place(const StepPlan& step, int depth, int row, int k) {
  const int64_t tile = int64_t{row / kTileRows} * step.depth * 256;
  const int64_t in_tile = depth + k / kTileDepth;
  const int thread = 4 * (row % 8) + k % 8 / 2;
  const int later = k % kTileDepth / 8;
  if (!whole_tile(step, row)) return tile + in_tile * 128 + thread * 4 + 2 * later + k % 2;
  const int pair = row % kTileRows / 8 + later * 2;
  return tile + in_tile * 256 + thread * 8 + 2 * pair + k % 2;
}

// The upper half of a float, rounded to nearest, ties to even. Weights are finite.
GENFAST_HOST_DEVICE uint16_t rounded_to_bfloat16(float value) {
  union {
    float number;
    uint32_t bits;
  } word{value};
  return static_cast<uint16_t>((word.bits + 0x7FFFu + ((word.bits >> 16) & 1)) >> 16);
}

GENFAST_HOST_DEVICE float from_bfloat16(uint16_t half) {
  union {
    uint32_t bits;
    float number;
  } word{static_cast<uint32_t>(half) << 16};
  return word.number;
}

// A number as the sum of two bfloat16, to 2^-17 of it: what a product reads.
struct Halves {
  uint16_t high;
  uint16_t low;
};

GENFAST_HOST_DEVICE Halves halves_of(float value) {
  const uint16_t high = rounded_to_bfloat16(value);
  const float rest = value - from_bfloat16(high);
  return {high, rest == rest ? rounded_to_bfloat16(rest) : uint16_t{0}};  // of an infinity: none
}

}  // namespace genfast::cuda
