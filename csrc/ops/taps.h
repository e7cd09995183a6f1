// The live taps of a masked convolution, as runs, and its weights packed for a kernel.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/masked_conv2d_args.h"

namespace genfast::ops {

// Weights (out, in, rows, columns), the first of which sees the pixel `above` rows above and `left`
// columns left of its own.
struct Kernel {
  const float* weight = nullptr;
  // (out or 1, in or 1, rows, columns): 0 where a weight is dead; null where none is. A tap is dead
  // where all of its weights are.
  const float* mask = nullptr;
  bool mask_of_outs = false;
  bool mask_of_ins = false;
  int64_t out = 0, in = 0, rows = 0, columns = 0;
  int64_t above = 0, left = 0;

  int64_t taps() const { return rows * columns; }
  bool alive(int64_t o, int64_t i, int64_t tap) const {
    const int64_t ins = mask_of_ins ? in : 1;
    return mask == nullptr ||
           mask[((mask_of_outs ? o * ins : 0) + (mask_of_ins ? i : 0)) * taps() + tap] != 0.0f;
  }
};

// Taps in the order in which a kernel meets them.
struct Taps {
  std::vector<cpu::TapRun> runs;
  std::vector<int32_t> numbers;  // of each tap, row * columns + column of the weights
  cpu::TapReach reach = {0, 0, 0, 0};
};

// Those of the output, of at most `longest` taps a run.
Taps live_taps(const Kernel& kernel, int64_t longest);

// Those by which a pixel of the input is seen: the same, turned about the pixel.
Taps turned(const Taps& taps, int64_t longest);

// Columns of a matrix in panels of two vectors, of one where that suffices for the last.
struct Panels {
  int64_t columns = 0;
  int64_t lanes = 0;

  int64_t width() const { return cpu::kPanelVectors * lanes; }
  int64_t count() const { return (columns + width() - 1) / width(); }
  // Floats of a row of a panel.
  int64_t floats(int64_t panel) const {
    return columns - panel * width() > lanes ? width() : lanes;
  }
};

// Panel `panel` of a product from `in` to `out` channels, or the other way about: [tap][channel
// that is read][columns of the panel], 0 where a weight is dead or does not exist.
void pack_panel(
    const Kernel& kernel,
    const Taps& taps,
    bool transposed,
    const Panels& panels,
    int64_t panel,
    float* packed);

// The panel of a gradient as weights: those of live taps, 0 where a weight is dead.
void unpack_panel(
    const Kernel& kernel,
    const Taps& taps,
    const Panels& panels,
    int64_t panel,
    const float* packed,
    float* weight);

}  // namespace genfast::ops
