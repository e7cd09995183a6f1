// A sum at all cells of a machine, the units of one block: products, in shares of k that stand side
// by side; then each unit adds its shares in order, the bias, rows of tables and what is added as
// it is, and becomes what the epilogue makes of it.
//
// Floor, at few cells: the bytes of the block's weights over what shared memory reads in a cycle
// (128 bytes a multiprocessor); the bits of an element depend on the shape of its sum alone.
#pragma once

#include <math.h>

#include "cuda/kernel/cells.h"

namespace genfast::cuda {

template <class Block>
class Sum {
 public:
  GENFAST_DEVICE Sum(const Cells<Block>& cells, const StepPlan& step)
      : cells_(cells), step_(step), block_(cells.block), plan_(cells.launch.plan) {}

  GENFAST_DEVICE void run() {
    const int32_t all = cells_.count(step_);
    for (int32_t first = 0; first < all; first += step_.at_once) {
      const int32_t count = all - first < step_.at_once ? all - first : step_.at_once;
      if (step_.depth > 0) {
        if (plan_.precision == Precision::kBFloat16)
          tiles(first, count);
        else
          dots(first, count);
        block_.sync();
      }
      const int32_t units = step_.block_units;
      block_.each(units * count, [&](int32_t i) { finish(i % units, first, i / units); });
      block_.sync();
    }
  }

 private:
  GENFAST_DEVICE const TermPlan& term(int32_t number) const {
    return cells_.launch.terms[step_.first_term + number];
  }

  GENFAST_DEVICE float* part(int32_t cell, int32_t number, int32_t row) const {
    return block_.template chip<float>(plan_.parts) +
           (cell * step_.parts + number) * step_.part_stride + row;
  }

  // What a product reads at a cell; zeros outside.
  GENFAST_DEVICE Input input(const TermPlan& term, int32_t index, int32_t end) const {
    const float* from = nullptr;
    if (index < end) {
      const Cell cell = cells_.cell(step_, index);
      if (cell.live) from = cells_.template values<const float>(term.ref, cell);
    }
    if (from == nullptr) return {block_.template chip<float>(plan_.zeros), false};
    return {from, cells_.in_device_memory(cells_.buffer(term.ref))};
  }

  // Whether whole vectors can be read: rows of an array of the caller may begin anywhere.
  GENFAST_DEVICE bool aligned(const TermPlan& term) const {
    return cells_.buffer(term.ref).place != Place::kGiven || term.width % 4 == 0;
  }

  // float32: a thread sums every eighth quad of k of one row, for a few cells.
  GENFAST_DEVICE void dots(int32_t first, int32_t count) {
    const int32_t groups = (count + kDotCells - 1) / kDotCells;
    const float* weights = cells_.template weights<float>(step_.weights, step_.weights_on_chip);
    block_.each(step_.rows * kDotLanes * groups, [&](int32_t i) {
      const int32_t thread = i % kDotLanes;
      const int32_t row = i / kDotLanes % step_.rows;
      const int32_t group = i / (kDotLanes * step_.rows) * kDotCells;
      float sums[kDotCells] = {};
      const float* from = weights + dot_place(step_, 0, row, 4 * thread);
      for (int32_t t = 0; t < step_.num_terms; ++t) {
        const TermPlan& term = this->term(t);
        if (term.kind != TermPlanKind::kMat) continue;
        dot(term, first + group, first + count, thread, from, sums);
        from += term.depth * kDotRows * kDotDepth;
      }
      GENFAST_UNROLL
      for (int32_t c = 0; c < kDotCells; ++c)
        if (group + c < count) block_.store(part(group + c, thread, row), sums[c], false);
    });
  }

  GENFAST_DEVICE void dot(
      const TermPlan& term,
      int32_t cell,
      int32_t end,
      int32_t thread,
      const float* weights,
      float (&sums)[kDotCells]) const {
    const bool whole = aligned(term);
    Input inputs[kDotCells];
    GENFAST_UNROLL
    for (int32_t c = 0; c < kDotCells; ++c) inputs[c] = input(term, cell + c, end);
    for (int32_t k = 4 * thread; k < term.width; k += kDotDepth) {
      float w[4];
      block_.load_weights(weights, step_.weights_on_chip != 0, w);
      weights += kDotRows * kDotDepth;
      GENFAST_UNROLL
      for (int32_t c = 0; c < kDotCells; ++c) {
        float x[4] = {};
        if (whole && k + 4 <= term.width) {
          block_.load4(inputs[c].data + k, inputs[c].device, x);
        } else {
          GENFAST_UNROLL
          for (int32_t j = 0; j < 4; ++j)
            if (k + j < term.width) x[j] = block_.load(inputs[c].data + k + j, inputs[c].device);
        }
        GENFAST_UNROLL
        for (int32_t j = 0; j < 4; ++j) sums[c] = fmaf(w[j], x[j], sums[c]);
      }
    }
  }

  // bfloat16: a warp multiplies tiles of 16 rows, or 8, by 16 k and 16 cells.
  GENFAST_DEVICE void tiles(int32_t first, int32_t count) {
    const int32_t row_tiles = (step_.rows + kTileRows - 1) / kTileRows;
    const int32_t groups = (count + kTileCells - 1) / kTileCells;
    const uint16_t* weights =
        cells_.template weights<uint16_t>(step_.weights, step_.weights_on_chip);
    block_.warps(row_tiles * step_.parts * groups, [&](int32_t task) {
      const int32_t row = task % row_tiles * kTileRows;
      const int32_t part = task / row_tiles % step_.parts;
      const int32_t group = task / (row_tiles * step_.parts) * kTileCells;
      const int32_t begin = step_.depth * part / step_.parts;
      const int32_t end = step_.depth * (part + 1) / step_.parts;
      const int32_t left = count - group < kTileCells ? count - group : kTileCells;
      typename Block::Tile product(block_, whole_tile(step_, row), left);
      int32_t before = 0;
      for (int32_t t = 0; t < step_.num_terms; ++t) {
        const TermPlan& term = this->term(t);
        if (term.kind != TermPlanKind::kMat) continue;
        const int32_t from = begin > before ? begin : before;
        const int32_t to = end < before + term.depth ? end : before + term.depth;
        if (from < to)
          product.point(
              [&](int32_t c) { return input(term, first + group + c, first + count); }, term.width,
              aligned(term));
        for (int32_t d = from; d < to; ++d)
          product.multiply(
              weights + tile_place(step_, d, row, 0), step_.weights_on_chip != 0,
              (d - before) * kTileDepth);
        before += term.depth;
      }
      product.store(this->part(group, part, row), step_.parts * step_.part_stride);
    });
  }

  // One unit of the block at a cell.
  GENFAST_DEVICE void finish(int32_t own, int32_t first, int32_t index) const {
    const int32_t unit = unit_of(step_, block_.rank(), own);
    const Cell cell = cells_.cell(step_, first + index);
    if (unit < 0 || !cell.live) return;
    float a[kMostGates] = {};
    GENFAST_UNROLL
    for (int32_t gate = 0; gate < kMostGates; ++gate)
      if (gate < step_.gates)
        a[gate] = whole(own * step_.gates + gate, gate * step_.units + unit, index, cell);
    epilogue(a, unit, cell);
  }

  // A pre-activation: row `row` of the block, element `element` of the whole.
  GENFAST_DEVICE float whole(int32_t row, int32_t element, int32_t index, const Cell& cell) const {
    float sum = 0.0f;
    if (step_.bias >= 0) {
      const float* bias = cells_.template weights<float>(step_.bias, step_.bias_on_chip != 0);
      sum = block_.load_weight(bias + row, step_.bias_on_chip != 0);
    }
    for (int32_t p = 0; p < step_.parts; ++p) sum += block_.load(part(index, p, row), false);
    for (int32_t t = 0; t < step_.num_terms; ++t) {
      const TermPlan& term = this->term(t);
      if (term.kind == TermPlanKind::kAdd) sum += cells_.value(term.ref, cell, element);
      if (term.kind != TermPlanKind::kLook) continue;
      const float* table = cells_.template weights<float>(term.table, term.on_chip != 0);
      const int64_t symbol = cells_.symbol(term.ref, cell);
      sum += block_.load_weight(table + symbol * step_.rows + row, term.on_chip != 0);
    }
    return sum;
  }

  GENFAST_DEVICE static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

  GENFAST_DEVICE void epilogue(const float (&a)[kMostGates], int32_t unit, const Cell& cell) const {
    const auto write = [&](int32_t target, float y) {
      cells_.write(step_.targets[target], cell, unit, y);
    };
    const auto state = [&](int32_t number, int32_t gate) {
      return cells_.value(step_.states[number], cell, gate * step_.units + unit);
    };
    switch (step_.epilogue) {
      case StepEpilogue::kNone: return write(0, a[0]);
      case StepEpilogue::kRelu: return write(0, a[0] < 0.0f ? 0.0f : a[0]);  // NaN stays
      case StepEpilogue::kTanh: return write(0, tanhf(a[0]));
      case StepEpilogue::kSigmoid: return write(0, sigmoid(a[0]));
      case StepEpilogue::kGate: return write(0, tanhf(a[0]) * sigmoid(a[1]));
      case StepEpilogue::kLstm: {
        const float c = fmaf(sigmoid(a[1]), state(0, 0), sigmoid(a[0]) * tanhf(a[2]));
        write(1, c);
        return write(0, sigmoid(a[3]) * tanhf(c));
      }
      case StepEpilogue::kGru: {
        const float r = sigmoid(a[0] + state(0, 0));
        const float z = sigmoid(a[1] + state(0, 1));
        const float n = tanhf(fmaf(r, state(0, 2), a[2]));
        return write(0, fmaf(z, state(1, 0) - n, n));
      }
    }
  }

  const Cells<Block>& cells_;
  const StepPlan& step_;
  Block& block_;
  const PlanHeader& plan_;
};

}  // namespace genfast::cuda
