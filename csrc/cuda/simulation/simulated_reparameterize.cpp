// The kernels of reparameterize.cu in plain loops: what they add to reparameterize_rows.h is the
// launch alone.
#include <vector>

#include "cuda/reparameterize_rows.h"

namespace genfast::cuda {
namespace {

// Calls f(first task of a warp, its walk) for the warps of all blocks, each turn.
template <typename F>
void each_turn(const RowShares& shares, int64_t blocks, const F& f) {
  for (int64_t block = 0; block < blocks; ++block)
    for (int32_t warp = 0; warp < kReparameterizeThreads / kWarp; ++warp) {
      const TaskWalk first = task_walk(shares, block, blocks, warp * kWarp);
      for (int64_t task = first.warp_task; task < shares.tasks; task += first.step) {
        for (int32_t group = 0; group < kWarp / shares.lanes; ++group)
          if (task + group < shares.tasks) f(task + group);
      }
    }
}

float sum_of(float* sums, int32_t lanes) {
  for (int32_t half = lanes / 2; half > 0; half /= 2)
    for (int32_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

}  // namespace

void simulate_reparameterize(const ReparameterizeArgs& args, int64_t blocks) {
  with_form(args, [&](auto value, auto whole) {
    using T = decltype(value);
    constexpr bool kWhole = decltype(whole)::value;
    const RowShares shares = shares_of<T>(args.rows, args.columns);
    float sums[kWarp];
    each_turn(shares, blocks, [&](int64_t task) {
      const Span span = span_of(shares, task);
      for (int32_t lane = 0; lane < shares.lanes; ++lane)
        sums[lane] = forward_lane<T, kWhole>(args, span, lane, shares.lanes);
      give_sum(args, shares, task, sum_of(sums, shares.lanes));
    });
    for (int64_t row = 0; shares.parts > 1 && row < args.rows; ++row) {
      for (int32_t lane = 0; lane < kWarp; ++lane)
        sums[lane] = parts_lane(args, shares.parts, row, lane);
      args.kl[row] = sum_of(sums, kWarp) * 0.5f;
    }
  });
}

void simulate_reparameterize_backward(const ReparameterizeBackwardArgs& args, int64_t blocks) {
  with_form(args, [&](auto value, auto whole) {
    using T = decltype(value);
    const RowShares shares = shares_of<T>(args.rows, args.columns);
    each_turn(shares, blocks, [&](int64_t task) {
      for (int32_t lane = 0; lane < shares.lanes; ++lane)
        backward_lane<T, decltype(whole)::value>(args, span_of(shares, task), lane, shares.lanes);
    });
  });
}

}  // namespace genfast::cuda
