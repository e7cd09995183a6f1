// A sum over rows x panels: for each panel, its weights met by every row tile while they are in the
// cache.
#pragma once

#include "cpu/epilogues.h"
#include "cpu/tile.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// The chain's start: the bias in every row.
static void start(const SumArgs& sum, int panel, int vectors, int rows, float* tile) {
  const float* bias = sum.bias + static_cast<int64_t>(panel) * sum.vectors * kLanes;
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      store(tile + (r * vectors + v) * kLanes, load(bias + v * kLanes));
}

static inline void accumulate(float* tile, Vec x) { store(tile, load(tile) + x); }

static void look(const SumArgs& sum, const Term& term, int panel, const Tile& at, float* tile) {
  const float* column = term.table + static_cast<int64_t>(panel) * sum.vectors * kLanes;
  for (int r = 0; r < at.rows; ++r) {
    const float* row = column + term.symbols[at.row + r] * sum.packed_width;
    for (int v = 0; v < at.vectors; ++v)
      accumulate(tile + (r * at.vectors + v) * kLanes, load(row + v * kLanes));
  }
}

// The values lie in the order of the program, gate by gate; the tile in packed order.
static void add(const SumArgs& sum, const Term& term, int gates, const Tile& at, float* tile) {
  for (int r = 0; r < at.rows; ++r)
    for (int v = 0; v < at.vectors; ++v) {
      const int64_t offset = static_cast<int64_t>(v % gates) * sum.units;
      const Place place{at.row + r, at.unit + (v / gates) * kLanes};
      accumulate(tile + (r * at.vectors + v) * kLanes, read(term.input, place, offset));
    }
}

// The terms in order; runs of matrix terms stay in registers.
static void terms(
    const SumArgs& sum,
    int panel,
    int gates,
    const float* weights,
    const Tile& at,
    float* tile) {
  const Multiply multiply = multiply_of(at.rows, at.vectors);
  for (int i = 0; i < sum.num_terms;) {
    const Term& term = sum.terms[i];
    if (term.kind == Term::kMat) {
      int end = i;
      int64_t depth = 0;
      for (; end < sum.num_terms && sum.terms[end].kind == Term::kMat; ++end)
        depth += sum.terms[end].width;
      multiply(sum.terms + i, end - i, at.row, weights, tile);
      weights += depth * at.vectors * kLanes;
      i = end;
    } else {
      if (term.kind == Term::kLook)
        look(sum, term, panel, at, tile);
      else
        add(sum, term, gates, at, tile);
      ++i;
    }
  }
}

static void sum(const SumArgs& sum) {
  alignas(64) float tile[kMaxRows * kMaxVectors * kLanes];
  const Finisher finisher = finisher_of(sum.epilogue);
  const int64_t panel_floats = static_cast<int64_t>(sum.depth) * sum.vectors * kLanes;
  const int32_t rows = sum.row_end - sum.row_begin;
  for (int32_t i = sum.panel_begin; i < sum.panel_end; ++i) {
    const int32_t panel = sum.reverse ? sum.panel_begin + sum.panel_end - 1 - i : i;
    const int vectors = panel + 1 == sum.panels ? sum.last_vectors : sum.vectors;
    const int64_t unit = static_cast<int64_t>(panel) * sum.vectors / finisher.gates * kLanes;
    const int most = rows_of_tile(vectors);
    const int tiles = (rows + most - 1) / most;
    for (int t = 0; t < tiles; ++t) {
      // Tiles of nearly equal height: 32 rows are 6, 5, 5, 6, 5, 5 and not five sixes and a two.
      const int32_t begin = static_cast<int32_t>(static_cast<int64_t>(rows) * t / tiles);
      const int32_t end = static_cast<int32_t>(static_cast<int64_t>(rows) * (t + 1) / tiles);
      const Tile at{tile, vectors, sum.row_begin + begin, end - begin, unit};
      start(sum, panel, vectors, at.rows, tile);
      terms(sum, panel, finisher.gates, sum.weights + panel * panel_floats, at, tile);
      finisher.finish(sum, at);
    }
  }
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
