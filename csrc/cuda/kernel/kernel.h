// The kernel: rows of the batch in turn, every step at every tick, until all sites are drawn.
#pragma once

#include "cuda/kernel/categorical.h"
#include "cuda/kernel/mixture.h"
#include "cuda/kernel/sum.h"

namespace genfast::cuda {

// Rows of the batch `first_row` .. `first_row + num_rows` draw.
template <class Block>
GENFAST_CALL void draw(
    Block& block,
    const Launch& launch,
    const StepPlan& step,
    int64_t first_row,
    int32_t num_rows) {
  Cells<Block> cells(block, launch);
  cells.turn_to(first_row, num_rows);
  if (step.op == StepOp::kCategorical)
    Categorical<Block>(cells, step).run();
  else
    Mixture<Block>(cells, step).run();
}

template <class Block>
class Kernel {
 public:
  GENFAST_DEVICE Kernel(Block& block, const Launch& launch)
      : block_(block), launch_(launch), plan_(launch.plan), cells_(block, launch) {}

  GENFAST_DEVICE void run() {
    const int64_t machines = launch_.machines;
    for (int64_t first = block_.machine() * int64_t{plan_.rows}; first < launch_.batch;
         first += machines * plan_.rows) {
      const int64_t left = launch_.batch - first;
      cells_.turn_to(first, static_cast<int32_t>(left < plan_.rows ? left : plan_.rows));
      block_.barrier();  // nobody is at the rows before
      begin();
      steps(0, plan_.once_steps);
      block_.barrier();
      const int32_t ticks = this->ticks();
      for (int32_t tick = 0; tick < ticks; ++tick) {
        set_lanes(tick);
        steps(plan_.once_steps, plan_.num_steps);
      }
      end();
    }
    block_.barrier();  // a block stays while another may write to its memory
  }

 private:
  GENFAST_DEVICE int32_t ticks() const {
    if (plan_.raster == 0) return static_cast<int32_t>(launch_.count);
    const int32_t last = plan_.image_rows - 1;
    return last / plan_.lanes * plan_.period + last % plan_.lanes * plan_.skew + plan_.most_ahead +
           plan_.image_columns;
  }

  // Where each lane is: row y begins `skew` ticks behind row y - 1, in a lane that has finished.
  GENFAST_DEVICE void set_lanes(int32_t tick) {
    block_.each(plan_.lanes, [&](int32_t lane) {
      Lane at{0, tick};
      if (plan_.raster != 0) {
        const int32_t since = tick - lane * plan_.skew;
        at.y = since < 0 ? -1 : since / plan_.period * plan_.lanes + lane;
        at.x = since < 0 ? 0 : since % plan_.period - plan_.most_ahead;
        if (at.y >= plan_.image_rows) at.y = -1;
      }
      int32_t* to = block_.template chip<int32_t>(2 * lane);
      block_.store(to, at.y, false);
      block_.store(to + 1, at.x, false);
    });
    block_.sync();
  }

  GENFAST_DEVICE void steps(int32_t begin, int32_t end) {
    for (int32_t s = begin; s < end; ++s) {
      const StepPlan& step = launch_.steps[s];
      if (step.barrier != 0) block_.barrier();
      if (step.op == StepOp::kSum)
        Sum<Block>(cells_, step).run();
      else
        draw(block_, launch_, step, cells_.first_row, cells_.num_rows);
    }
  }

  GENFAST_DEVICE void begin() {
    float* zeros = block_.template chip<float>(plan_.zeros);
    block_.each(static_cast<int32_t>(plan_.zeros_words), [&](int32_t i) {
      block_.store(zeros + i, 0.0f, false);
    });
    if (launch_.saved != nullptr)
      kept([&](const BufferPlan& at, uint32_t* value, uint32_t* saved, bool) {
        block_.store(value, *saved, cells_.in_device_memory(at));
      });
    block_.sync();
  }

  GENFAST_DEVICE void end() {
    if (launch_.saved != nullptr)
      kept([&](const BufferPlan& at, uint32_t* value, uint32_t* saved, bool mine) {
        if (mine) *saved = block_.load(value, cells_.in_device_memory(at));
      });
  }

  // Calls f for every word that outlives the launch and lies in this block, or, where all blocks
  // share one copy, is defined by it; `mine` where this block is the one to save it.
  template <typename F>
  GENFAST_DEVICE void kept(F f) {
    for (int32_t b = 0; b < plan_.num_buffers; ++b) {
      const BufferPlan& at = launch_.buffers[b];
      if (at.keep != Keep::kRing || at.place == Place::kGiven) continue;
      const int32_t words = at.ring * plan_.rows * at.width;
      block_.each(words, [&](int32_t i) {
        const int32_t element = i % at.width;
        const int32_t row = i / at.width % plan_.rows;
        const int32_t slot = i / at.width / plan_.rows;
        const bool dealt = at.place == Place::kPrivate || at.place == Place::kShared;
        const bool mine =
            dealt ? element % at.period / at.chunk == block_.rank() : block_.rank() == 0;
        const bool here = at.place == Place::kPrivate || at.arena == Arena::kMachine ? mine : true;
        if (row >= cells_.num_rows || !here) return;
        const Cell cell{true, row, row, 0, slot_site(at, slot)};
        uint32_t* value = cells_.template values<uint32_t>({b, 0, 0}, cell);
        uint32_t* saved = launch_.saved + at.saved * launch_.batch +
                          (slot * launch_.batch + cells_.first_row + row) * at.width + element;
        f(at, value + cells_.place(at, element), saved, mine);
      });
    }
  }

  // A site, counted from the first of the launch, whose values lie in this slot of a ring.
  GENFAST_DEVICE int32_t slot_site(const BufferPlan& at, int32_t slot) const {
    return (slot - static_cast<int32_t>(launch_.position & (at.ring - 1))) & (at.ring - 1);
  }

  Block& block_;
  const Launch& launch_;
  const PlanHeader& plan_;
  Cells<Block> cells_;
};

}  // namespace genfast::cuda
