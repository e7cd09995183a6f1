// A sum over rows x panels: for each panel, its weights met by every row tile while they are in the
// cache. The rows are those of the batch at each of the positions, so that the row code of an
// image, and the site code of several rows in flight, have full tiles at a batch of one, too.
#pragma once

#include "cpu/tile.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// A row of the batch at a position.
struct Cursor {
  const Position* position;
  int32_t row;
};

// The places of a tile's rows; `at` moves behind them. Slots lie column by column, rows of the
// batch one behind the other in each, so that those of neighbouring columns follow each other.
static inline void place_rows(const SumArgs& sum, int rows, Cursor* at, Tile* tile) {
  tile->rows = rows;
  tile->flight = at->position->flight;
  tile->first[kOneSlot] = at->row;
  tile->first[kColumns] = static_cast<int64_t>(at->position->column) * sum.batch + at->row;
  tile->follow[kOneSlot] = tile->follow[kColumns] = true;
  if (at->row + rows <= sum.row_end) {
    at->row += rows;
    if (at->row == sum.row_end) *at = {at->position + 1, sum.row_begin};
    return;
  }
  tile->follow[kOneSlot] = false;
  for (int r = 0; r < rows; ++r) {
    const Position& position = *at->position;
    tile->flights[r] = position.flight;
    tile->place[kOneSlot][r] = at->row;
    tile->place[kColumns][r] = static_cast<int64_t>(position.column) * sum.batch + at->row;
    tile->follow[kColumns] = tile->follow[kColumns] && position.flight == tile->flight &&
                             tile->place[kColumns][r] == tile->first[kColumns] + r;
    if (++at->row == sum.row_end) *at = {at->position + 1, sum.row_begin};
  }
}

// Whether a tile takes two panels of two vectors: where it has few rows, to have chains enough to
// hide the latency of a multiply-add.
static inline bool takes_two(const SumArgs& sum, int32_t panel, int32_t rows) {
  return sum.vectors == 2 && rows <= rows_of_tile(4) && !sum.reverse && panel + 1 < sum.panel_end &&
         (panel + 2 < sum.panels || sum.last_vectors == 2);
}

static inline void place_panel(
    const SumArgs& sum,
    int32_t panel,
    int32_t vectors,
    int gates,
    Tile* tile) {
  tile->vectors = vectors;
  tile->packed = static_cast<int64_t>(panel) * sum.vectors * kLanes;
  tile->unit = gates == 1 ? tile->packed : tile->packed / gates;
  for (int v = 0; v < kMaxVectors; ++v)
    tile->offset[v] =
        gates == 1 ? tile->unit + v * kLanes
                   : static_cast<int64_t>(v % gates) * sum.units + tile->unit + v / gates * kLanes;
}

// Tiles of nearly equal height: 32 rows are 6, 6, 5, 5, 5, 5 and not five sixes and a two.
static inline void sum_rows(
    const SumArgs& sum,
    const Weights& weights,
    int32_t rows,
    Cursor at,
    Tile* tile) {
  const int32_t most = rows_of_tile(tile->vectors);
  const int32_t tiles = rows <= most ? 1 : (rows + most - 1) / most;
  const int32_t height = tiles == 1 ? rows : rows / tiles;
  int32_t higher = rows - tiles * height;
  for (int32_t t = 0; t < tiles; ++t, --higher) {
    place_rows(sum, height + (higher > 0), &at, tile);
    kCompute[tile->vectors].of[tile->rows](sum, weights, sum.bias + tile->packed, *tile);
  }
}

static void sum(const SumArgs& sum, Positions positions) {
  alignas(64) float values[kMaxRows * kMaxVectors * kLanes];
  Tile tile;
  tile.values = values;
  const Finisher finisher = finisher_of(sum.epilogue);
  tile.finish = finisher.finish;
  const int64_t panel_floats = static_cast<int64_t>(sum.depth) * sum.vectors * kLanes;
  const int32_t rows = (sum.row_end - sum.row_begin) * positions.count;
  if (rows == 0) return;
  for (int32_t i = sum.panel_begin; i < sum.panel_end; ++i) {
    const int32_t panel = sum.reverse ? sum.panel_begin + sum.panel_end - 1 - i : i;
    const int32_t vectors = panel + 1 == sum.panels ? sum.last_vectors : sum.vectors;
    const bool two = takes_two(sum, panel, rows);
    place_panel(sum, panel, two ? 2 * vectors : vectors, finisher.gates, &tile);
    const Weights weights{
        sum.weights + panel * panel_floats, vectors * kLanes, two ? panel_floats : kPair};
    sum_rows(sum, weights, rows, {positions.data, sum.row_begin}, &tile);
    i += two;
  }
}

static void sums(const SumArgs* all, int32_t count, Positions at) {
  for (int32_t i = 0; i < count; ++i) sum(all[i], at);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
