#include "cuda/plan/planner.h"

#include <algorithm>

#include "cuda/plan/barriers.h"
#include "cuda/plan/dealing.h"
#include "cuda/plan/layout.h"
#include "cuda/plan/schedule.h"

namespace genfast::cuda {
namespace {

using program::Program;

// More rows of the batch at once would gain nothing: tiles are full long before.
constexpr int64_t kMostRows = 256;

// Rows of an image in flight: as many as there can be, each `skew` columns behind the one above.
int32_t most_lanes(const Program& program, const Schedule& schedule) {
  if (program.order() == program::Order::kSequence) return 1;
  const int64_t columns = program.columns() + schedule.most_ahead;
  return static_cast<int32_t>(
      std::min(program.rows(), (columns + schedule.skew - 1) / schedule.skew));
}

// As many rows and lanes as fit beside the weights; false if not even one does. On chip must be
// what the steps compute with, and, if `holds_weights`, the weights of all products.
bool fit(Layout* layout, const Limits& limits, int32_t rows, int32_t lanes, bool holds_weights) {
  for (; lanes >= 1; lanes = lanes > 1 ? (lanes + 1) / 2 : 0)
    for (int32_t at_once = rows; at_once >= 1; at_once = at_once > 1 ? (at_once + 1) / 2 : 0)
      for (const Spill spill : {Spill::kNothing, Spill::kImageRows, Spill::kAllRows})
        if (layout->lay_out(at_once, lanes, spill, limits.shared_bytes, holds_weights)) return true;
  return false;
}

// Whether one row of the batch fits beside the weights, which settles the machine for every batch.
bool holds(const Program& program, Precision precision, const Limits& limits, int32_t blocks) {
  const Schedule schedule = schedule_of(program);
  Layout layout(program, schedule, precision, blocks, false);
  return fit(&layout, limits, 1, most_lanes(program, schedule), true);
}

}  // namespace

int Plan::barriers() const {
  int count = 0;
  for (const StepPlan& step : steps) count += step.once == 0 && step.barrier != 0;
  return count;
}

Plan make_plan(const Program& program, Precision precision, const Limits& limits, int64_t batch) {
  core::require(batch >= 1, "plan: batch must be at least 1, got ", batch);
  core::require(
      limits.cluster >= 1 && limits.blocks >= 1 && limits.shared_bytes >= 0,
      "plan: limits must be positive, got ", limits.cluster, " blocks a cluster, ", limits.blocks,
      " blocks, ", limits.shared_bytes, " bytes");
  const Schedule schedule = schedule_of(program);
  int32_t blocks = 0;
  int32_t largest = 1;
  for (int32_t c = 1; c <= std::min(limits.cluster, limits.blocks) && blocks == 0; c *= 2) {
    largest = c;
    if (holds(program, precision, limits, c)) blocks = c;
  }
  const bool held = blocks > 0;
  // Images are many, and their sites are long: clusters that read weights anew beat one machine
  // whose barriers cross the chip. A sequence would rather have all weights somewhere on it.
  const bool grid = !held && (program.order() == program::Order::kSequence || largest == 1);
  if (!held) blocks = grid ? limits.blocks : largest;
  const int64_t machines = grid ? 1 : limits.blocks / blocks;
  const auto rows = static_cast<int32_t>(std::min(kMostRows, (batch + machines - 1) / machines));
  const int32_t lanes = most_lanes(program, schedule);
  Layout layout(program, schedule, precision, blocks, grid);
  // Of the grid, too, all weights if it costs no rows.
  const bool fits =
      held ? fit(&layout, limits, rows, lanes, true)
           : layout.lay_out(rows, lanes, Spill::kImageRows, limits.shared_bytes, true) ||
                 fit(&layout, limits, rows, lanes, false);
  core::require(
      fits, "plan: a block of ", limits.shared_bytes,
      " bytes of shared memory cannot hold what a site computes");
  Plan plan = layout.plan();
  plan.machines = machines;
  return plan;
}

}  // namespace genfast::cuda
