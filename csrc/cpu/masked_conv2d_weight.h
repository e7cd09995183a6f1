// The gradient of a masked convolution by its weights: for every live tap, x^T g over all pixels.
//
// Floor: pixels * taps * in * out multiply-adds, those of the forward pass; measured at 80% of the
// FMA peak where that runs at 89%. Input and gradient are copied into panels of two
// vectors, [pixel][panel], of which a tile (6 channels in x 2 vectors of channels out) reads six
// values and two vectors a pixel, one cache line of each; taps are offsets of pixels. Rows are so
// few that a panel of both (13 KB and 11 KB) stays in the first cache for all taps. A tile sums the
// pixels of these rows from 0 and adds that to `sums`: shorter chains round less than one.
#pragma once

#include "cpu/masked_conv2d.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// Channels of a panel of the input: where all fit into one, the taps of a run lie side by side, and
// are as many rows.
static inline int32_t input_panel(int32_t in) { return in < kPanel ? in : kPanel; }

struct ProductTile {
  const float* input;  // first pixel
  int64_t input_pixel;
  int64_t input_line;
  const float* grad;
  int64_t grad_line;
  int32_t lines;
  int32_t columns;
  float* sums;
};

template <int rows, int vectors>
static void add_products(const ProductTile& at) {
  Vec acc[rows][vectors];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) acc[r][v] = broadcast(0.0f);
  for (int32_t y = 0; y < at.lines; ++y) {
    const float* x = at.input + y * at.input_line;
    const float* g = at.grad + y * at.grad_line;
    for (int32_t i = 0; i < at.columns; ++i, x += at.input_pixel, g += vectors * kLanes) {
      Vec by[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) by[v] = load(g + v * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < rows; ++r) {
        const Vec seen = broadcast(x[r]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) acc[r][v] = fma(seen, by[v], acc[r][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      float* const sum = at.sums + (r * vectors + v) * kLanes;
      store(sum, load(sum) + acc[r][v]);
    }
}

template <int vectors>
static constexpr void add_add_products(Shapes<void (*)(const ProductTile&)>& all) {
  auto* of = all.of[vectors];
  of[1] = add_products<1, vectors>;
  of[2] = add_products<2, vectors>;
  of[3] = add_products<3, vectors>;
  of[4] = add_products<4, vectors>;
  of[5] = add_products<5, vectors>;
  of[6] = add_products<6, vectors>;
  of[7] = add_products<at_most_rows(7), vectors>;
  of[8] = add_products<at_most_rows(8), vectors>;
  of[9] = add_products<at_most_rows(9), vectors>;
  of[10] = add_products<at_most_rows(10), vectors>;
  of[11] = add_products<at_most_rows(11), vectors>;
  of[12] = add_products<at_most_rows(12), vectors>;
}

static constexpr Shapes<void (*)(const ProductTile&)> add_products_shapes() {
  Shapes<void (*)(const ProductTile&)> all = {};
  add_add_products<1>(all);
  add_add_products<2>(all);
  return all;
}

static constexpr Shapes<void (*)(const ProductTile&)> kAddProducts = add_products_shapes();

// Panels of rows `begin .. end` of the input, each [row][left + columns + right][channels].
static inline void pack_input(const ConvWeightArgs& args, int32_t begin, int32_t end) {
  const int32_t width = input_panel(args.in);
  float* to = args.inputs;
  for (int32_t c = 0; c < args.in; c += width) {
    const int32_t channels = args.in - c < width ? args.in - c : width;
    for (int32_t y = begin; y < end; ++y) {
      const float* from = args.input + static_cast<int64_t>(y) * args.columns * args.in + c;
      zero_floats(static_cast<int64_t>(args.reach.left) * width, to);
      to += static_cast<int64_t>(args.reach.left) * width;
      if (width == args.in) {
        copy_floats(from, static_cast<int64_t>(args.columns) * width, to);
        to += static_cast<int64_t>(args.columns) * width;
      } else {
        for (int32_t x = 0; x < args.columns; ++x, from += args.in, to += width)
          copy_floats(from, channels, to);
      }
      zero_floats(static_cast<int64_t>(args.reach.right) * width, to);
      to += static_cast<int64_t>(args.reach.right) * width;
    }
  }
}

// Panels of the gradient's rows, each [row][columns][vectors], zeros behind the last channel; and
// its sum over pixels.
static inline void pack_grad(const ConvWeightArgs& args) {
  const int64_t pixels = static_cast<int64_t>(args.row_end - args.row_begin) * args.columns;
  float* to = args.grads;
  for (int32_t panel = 0; panel * kPanel < args.out; ++panel) {
    const int32_t left = args.out - panel * kPanel;
    const int32_t columns = left < kPanel ? left : kPanel;
    const int32_t vectors = vectors_of_panel(columns);
    const float* from =
        args.grad + static_cast<int64_t>(args.row_begin) * args.columns * args.out + panel * kPanel;
    Vec sums[kPanelVectors] = {broadcast(0.0f), broadcast(0.0f)};
    for (int64_t i = 0; i < pixels; ++i, from += args.out, to += vectors * kLanes) {
      if (columns == kPanel) {
        for (int v = 0; v < kPanelVectors; ++v) store(to + v * kLanes, load(from + v * kLanes));
      } else {
        copy_floats(from, columns, to);
        zero_floats(vectors * kLanes - columns, to + columns);
      }
      for (int v = 0; v < vectors; ++v) sums[v] = sums[v] + load(to + v * kLanes);
    }
    float* const bias = args.bias_sums + panel * kPanel;
    for (int v = 0; v < vectors; ++v) store(bias + v * kLanes, load(bias + v * kLanes) + sums[v]);
  }
}

// All taps of one panel of the input with one of the gradient.
static inline void add_panel(
    const ConvWeightArgs& args,
    int32_t in_panel,
    int32_t out_panel,
    int32_t first,
    int32_t last) {
  const int32_t width = input_panel(args.in);
  const int32_t left = args.out - out_panel * kPanel;
  const int32_t vectors = vectors_of_panel(left);
  const int64_t line = static_cast<int64_t>(args.reach.left + args.columns + args.reach.right);
  const float* input = args.inputs + (last - first) * line * width * in_panel;
  const int64_t pixels = static_cast<int64_t>(args.row_end - args.row_begin) * args.columns;
  const float* grad = args.grads + pixels * kPanel * out_panel;
  float* sums = args.sums + static_cast<int64_t>(out_panel) * args.depth * kPanel;
  const bool merged = width == args.in;
  const int32_t channels = args.in - in_panel * width < width ? args.in - in_panel * width : width;
  ProductTile tile;
  tile.input_pixel = width;
  tile.input_line = line * width;
  tile.grad_line = static_cast<int64_t>(args.columns) * vectors * kLanes;
  tile.columns = args.columns;
  int64_t k = 0;
  for (const TapRun* run = args.runs; run != args.runs + args.num_runs; ++run) {
    // Rows of the gradient whose pixels, seen through this run, exist.
    const int32_t begin = args.row_begin + run->row < 0 ? -run->row : args.row_begin;
    const int32_t end = args.row_end + run->row > args.rows ? args.rows - run->row : args.row_end;
    tile.lines = end > begin ? end - begin : 0;
    for (int32_t tap = 0; tile.lines > 0 && tap < (merged ? 1 : run->taps); ++tap) {
      const float* pixel = input + (begin + run->row - first) * tile.input_line +
                           static_cast<int64_t>(args.reach.left + run->column + tap) * width;
      const int64_t row = k + static_cast<int64_t>(tap) * args.in + in_panel * width;
      tile.grad = grad + (begin - args.row_begin) * tile.grad_line;
      tiles_of(merged ? run->taps * args.in : channels, [&](int32_t c, int32_t height) {
        tile.input = pixel + c;
        tile.sums = sums + (row + c) * vectors * kLanes;
        kAddProducts.of[vectors][height](tile);
      });
    }
    k += static_cast<int64_t>(run->taps) * args.in;
  }
}

static void masked_conv2d_weight(const ConvWeightArgs& args) {
  const int32_t first = first_row_seen(args.reach, args.row_begin);
  const int32_t last = last_row_seen(args.reach, args.row_end, args.rows);
  pack_grad(args);
  if (last <= first) return;
  pack_input(args, first, last);
  const int32_t width = input_panel(args.in);
  for (int32_t in_panel = 0; in_panel * width < args.in; ++in_panel)
    for (int32_t out_panel = 0; out_panel * kPanel < args.out; ++out_panel)
      add_panel(args, in_panel, out_panel, first, last);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
