// A sum over rows x panels: for each panel, its weights met by every row tile while they are in the
// cache. The rows are those of the batch at each column of a span, so that the row code of an image
// has full tiles at a batch of one, too.
#pragma once

#include "cpu/tile.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// A row of the batch at a column.
struct Position {
  int32_t column;
  int32_t row;
};

// The places of a tile's rows; `at` moves behind them. Slots lie column by column, rows of the
// batch one behind the other in each, so that those of a tile follow each other.
static inline void place_rows(const SumArgs& sum, int rows, bool wraps, Position* at, Tile* tile) {
  tile->rows = rows;
  tile->first[kOneSlot] = at->row;
  tile->first[kColumns] = static_cast<int64_t>(at->column) * sum.batch + at->row;
  tile->wraps = wraps;
  if (!wraps) {
    at->row += rows;
    return;
  }
  for (int r = 0; r < rows; ++r) {
    tile->one_slot[r] = at->row;
    const bool last = ++at->row == sum.row_end;
    at->row = last ? sum.row_begin : at->row;
    at->column += last;
  }
}

static inline void place_panel(const SumArgs& sum, int32_t panel, int gates, Tile* tile) {
  tile->vectors = panel + 1 == sum.panels ? sum.last_vectors : sum.vectors;
  tile->packed = static_cast<int64_t>(panel) * sum.vectors * kLanes;
  tile->unit = gates == 1 ? tile->packed : tile->packed / gates;
  for (int v = 0; v < kMaxVectors; ++v)
    tile->offset[v] =
        gates == 1 ? tile->unit + v * kLanes
                   : static_cast<int64_t>(v % gates) * sum.units + tile->unit + v / gates * kLanes;
}

static void sum(const SumArgs& sum, Span columns) {
  alignas(64) float values[kMaxRows * kMaxVectors * kLanes];
  Tile tile;
  tile.values = values;
  const Finisher finisher = finisher_of(sum.epilogue);
  tile.finish = finisher.finish;
  const int64_t panel_floats = static_cast<int64_t>(sum.depth) * sum.vectors * kLanes;
  const int32_t rows = (sum.row_end - sum.row_begin) * (columns.end - columns.begin);
  if (rows == 0) return;
  for (int32_t i = sum.panel_begin; i < sum.panel_end; ++i) {
    const int32_t panel = sum.reverse ? sum.panel_begin + sum.panel_end - 1 - i : i;
    place_panel(sum, panel, finisher.gates, &tile);
    const float* weights = sum.weights + panel * panel_floats;
    const float* bias = sum.bias + tile.packed;
    Position at{columns.begin, sum.row_begin};
    // Tiles of nearly equal height: 32 rows are 6, 6, 5, 5, 5, 5 and not five sixes and a two.
    const int32_t most = rows_of_tile(tile.vectors);
    const int32_t tiles = rows <= most ? 1 : (rows + most - 1) / most;
    const int32_t height = tiles == 1 ? rows : rows / tiles;
    int32_t higher = rows - tiles * height;
    for (int32_t t = 0; t < tiles; ++t, --higher) {
      place_rows(sum, height + (higher > 0), columns.end - columns.begin > 1, &at, &tile);
      kCompute[tile.vectors].of[tile.rows](sum, weights, bias, tile);
    }
  }
}

static void sums(const SumArgs* all, int32_t count, Span columns) {
  for (int32_t i = 0; i < count; ++i) sum(all[i], columns);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
