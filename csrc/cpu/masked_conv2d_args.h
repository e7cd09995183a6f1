// What the kernels of a masked convolution are asked to do, as plain structs; see kernels.h.
//
// Images are [rows][columns][channels]. A product of matrices over k = live taps x channels: its
// rows are pixels, its columns are channels out, in panels of two vectors. Weights lie packed as
// [panel][k][floats of the panel], k in the order of the runs, of the taps of a run, of channels.
// The last panel has one vector where that suffices.
#pragma once

#include <stdint.h>

namespace genfast::cpu {

inline constexpr int kPanelVectors = 2;

// Live taps side by side in a row of the kernel: of an image whose sides are padded, they are
// `taps * channels` floats one behind the other.
struct TapRun {
  int32_t row;  // of the first tap, counted from the pixel
  int32_t column;
  int32_t taps;
};

// How far all runs see. Rows that do not exist are left out, columns are zeros in a padded copy.
struct TapReach {
  int32_t above;  // rows
  int32_t below;
  int32_t left;  // columns
  int32_t right;
};

// Rows of the output of one image.
struct ConvArgs {
  const float* input;
  float* output;
  const float* weights;
  const float* bias;  // a float for each column of every panel
  const TapRun* runs;
  const int32_t* blocks;  // of runs, whose weights of a panel fit into the cache: where each ends
  int32_t num_blocks;     // at least 1, were it of no run
  int32_t depth;          // k
  TapReach reach;
  int32_t rows, columns, in, out;
  int32_t row_begin, row_end;  // of the output
  float* padded;               // [row_end - row_begin + above + below][left + columns + right][in]
  float* edge;                 // [row_end - row_begin][columns][a panel]
};

// What some rows of one image add to the gradient of the weights.
struct ConvWeightArgs {
  const float* input;
  const float* grad;  // by the output
  const TapRun* runs;
  int32_t num_runs;
  int32_t depth;
  TapReach reach;
  int32_t rows, columns, in, out;
  int32_t row_begin, row_end;  // of `grad`
  float* sums;                 // as weights lie
  float* bias_sums;            // a float for each column of every panel
  float* inputs;               // panels of the padded input, as large as ConvArgs::padded, whole
  float* grads;                // panels: [row_end - row_begin][columns][panels of out]
};

}  // namespace genfast::cpu
