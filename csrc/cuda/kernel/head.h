// What the heads have in common: scores, options and uniforms of a cell, and what becomes of a
// draw. Every block draws every cell, into symbols of its own, so that no block waits for another's
// draw; the first of a machine writes what the caller sees.
#pragma once

#include "cuda/kernel/cells.h"

namespace genfast::cuda {

template <class Block>
class Head {
 public:
  GENFAST_DEVICE Head(const Cells<Block>& cells, const StepPlan& step)
      : cells_(cells), step_(step), block_(cells.block), plan_(cells.launch.plan) {}

 protected:
  GENFAST_DEVICE const float* scores(const Cell& cell) const {
    return cells_.template values<const float>(step_.scores, cell);
  }

  GENFAST_DEVICE float score(const Cell& cell, int32_t number) const {
    const bool device = cells_.in_device_memory(cells_.buffer(step_.scores));
    return block_.load(scores(cell) + number, device);
  }

  // Words of the block for the draw of a cell.
  GENFAST_DEVICE float* scratch(int32_t index) const {
    const int64_t words = plan_.draw + index * plan_.draw_words;
    return plan_.draw_on_chip != 0 ? block_.template chip<float>(words)
                                   : block_.template own<float>(words);
  }

  GENFAST_DEVICE float load(const float* from) const {
    return block_.load(from, plan_.draw_on_chip == 0);
  }

  GENFAST_DEVICE void store(float* to, float value) const {
    block_.store(to, value, plan_.draw_on_chip == 0);
  }

  GENFAST_DEVICE int64_t batch_row(const Cell& cell) const { return cells_.first_row + cell.row; }

  GENFAST_DEVICE float temperature(const Cell& cell) const {
    return cells_.launch.temperature[batch_row(cell)];
  }

  GENFAST_DEVICE const float* uniforms(const Cell& cell) const {
    return cells_.launch.uniforms + cells_.site(cell) * plan_.uniforms + step_.first_uniform;
  }

  // What is forced, or -1 where the cell draws. A value that is no symbol chooses no row of a
  // table.
  GENFAST_DEVICE int32_t forced(const Cell& cell, int32_t target) const {
    if (cells_.launch.forced == nullptr) return -1;
    const int64_t* at = cells_.launch.forced + cells_.site(cell) * plan_.values + step_.first_value;
    const int64_t value = at[target];
    const bool symbol = value >= -1 && value < step_.classes && (value < 0) == (at[0] < 0);
    if (!symbol) fail(cell, Wrong::kForced);
    return symbol ? static_cast<int32_t>(value) : 0;
  }

  GENFAST_DEVICE void fail(const Cell& cell, Wrong wrong) const {
    const int64_t site = cells_.column(cell) - cells_.launch.first;
    if (block_.rank() == 0) block_.fail(failure_of(site, batch_row(cell), wrong));
  }

  GENFAST_DEVICE void give(const Cell& cell, int32_t target, int32_t symbol) const {
    cells_.write(step_.targets[target], cell, 0, symbol);
    if (block_.rank() == 0)
      cells_.launch.values[cells_.site(cell) * plan_.values + step_.first_value + target] = symbol;
  }

  // Parameters as the caller asked to see them.
  GENFAST_DEVICE void copy_scores(int32_t cells) const {
    if (cells_.launch.scores == nullptr || block_.rank() != 0) return;
    const int32_t width = cells_.buffer(step_.scores).width;
    block_.each(cells * width, [&](int32_t i) {
      const Cell cell = cells_.cell(step_, i / width);
      if (!cell.live) return;
      const int64_t draw = cells_.site(cell) * plan_.draws + step_.number;
      cells_.launch.scores[draw * plan_.parameters + i % width] = score(cell, i % width);
    });
  }

  GENFAST_DEVICE float* log_prob_of(const Cell& cell) const {
    if (cells_.launch.log_probs == nullptr || block_.rank() != 0) return nullptr;
    return cells_.launch.log_probs + cells_.site(cell) * plan_.draws + step_.number;
  }

  const Cells<Block>& cells_;
  const StepPlan& step_;
  Block& block_;
  const PlanHeader& plan_;
};

}  // namespace genfast::cuda
