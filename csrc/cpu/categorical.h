// The categorical head: temperature, top-k, top-p and the draw, a few rows at a time.
//
// The draw is the first kept class whose running float32 sum exceeds uniform * total. A running sum
// is a chain of additions, so rows are summed side by side: eight chains hide each other's latency.
// Running sums never fall, so the class is the number of sums that do not exceed the edge.
#pragma once

#include <math.h>

#include "cpu/kernels.h"
#include "cpu/vector_math.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

inline constexpr int kDrawRows = 8;

static inline int32_t padded(int32_t classes) { return (classes + kLanes - 1) / kLanes * kLanes; }

// Scores of one row over the temperature, -inf behind the last class. Returns what is wrong with
// them.
static DrawError scale(
    const float* scores,
    int32_t classes,
    float temperature,
    float* scaled,
    float* greatest) {
  const Vec lowest = broadcast(-INFINITY);
  const Vec divisor = broadcast(temperature);
  Vec most = lowest;
  bool nan = false;
  for (int32_t c = 0; c < classes; c += kLanes) {
    Vec x = load(scores + c);
    if (classes - c < kLanes) x = select(first_lanes(classes - c), x, lowest);
    nan |= any(is_nan(x));
    if (temperature != 1.0f) x = x / divisor;
    store(scaled + c, x);
    most = max(most, x);
  }
  *greatest = max_lane(most);
  if (nan) return DrawError::kNotANumber;
  if (*greatest == INFINITY) return DrawError::kInfinite;
  return *greatest == -INFINITY ? DrawError::kNothingLeft : DrawError::kNone;
}

static int32_t first_equal(const float* scores, int32_t classes, float value) {
  for (int32_t c = 0; c < classes; ++c)
    if (scores[c] == value) return c;
  return classes - 1;
}

// Whether class a stands before class b: higher score first, equal scores by lower index.
static inline bool before(const float* scores, int32_t a, int32_t b) {
  return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

static void sink(const float* scores, int32_t* heap, int32_t size, int32_t at) {
  for (int32_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && before(scores, heap[child + 1], heap[child])) ++child;
    if (before(scores, heap[at], heap[child])) return;
    const int32_t moved = heap[at];
    heap[at] = heap[child];
    heap[child] = moved;
    at = child;
  }
}

// Excludes (-inf) what top-k and top-p leave out. order: room for `classes` numbers; w: as many
// weights.
static void keep(
    float* scores,
    int32_t classes,
    int64_t top_k,
    float top_p,
    float greatest,
    int32_t* order,
    float* w) {
  const int32_t kept_by_k = top_k > 0 && top_k < classes ? static_cast<int32_t>(top_k) : classes;
  for (int32_t c = 0; c < classes; ++c) order[c] = c;
  for (int32_t at = classes / 2; at-- > 0;) sink(scores, order, classes, at);
  // The heap gives up its best, which goes behind the shrinking heap: order ends as worst .. best.
  for (int32_t i = 0; i < kept_by_k; ++i) {
    const int32_t last = classes - 1 - i;
    const int32_t best = order[0];
    order[0] = order[last];
    order[last] = best;
    sink(scores, order, last, 0);
  }
  int32_t kept = kept_by_k;
  if (top_p < 1.0f) {
    for (int32_t i = 0; i < kept_by_k; ++i) w[i] = scores[order[classes - 1 - i]] - greatest;
    map<exp>(w, w, kept_by_k);
    float total = 0.0f;
    for (int32_t i = 0; i < kept_by_k; ++i) total += w[i];
    const float edge = top_p * total;
    float mass = w[0];
    for (kept = 1; kept < kept_by_k && mass < edge; ++kept) mass += w[kept];
  }
  for (int32_t i = 0; i < classes - kept; ++i) scores[order[i]] = -INFINITY;
}

// Replaces each row's weights by their running sums.
static void running_sums(float* weights, int32_t stride, int rows, int32_t classes) {
  if (rows == kDrawRows) {
    float run[kDrawRows] = {};
    for (int32_t c = 0; c < classes; ++c)
#pragma GCC unroll 8
      for (int r = 0; r < kDrawRows; ++r)
        weights[r * stride + c] = run[r] += weights[r * stride + c];
    return;
  }
  for (int r = 0; r < rows; ++r) {
    float run = 0.0f;
    for (int32_t c = 0; c < classes; ++c) weights[r * stride + c] = run += weights[r * stride + c];
  }
}

// last: the highest class of non-zero weight, taken where rounding leaves no sum above the edge.
static int32_t choose(const float* sums, int32_t classes, int32_t last, float uniform) {
  const Vec edge = broadcast(uniform * sums[classes - 1]);
  int32_t below = 0;
  for (int32_t c = 0; c < classes; c += kLanes) {
    Mask not_above = not_greater(load(sums + c), edge);
    if (classes - c < kLanes) not_above = mask_and(not_above, first_lanes(classes - c));
    below += count(not_above);
  }
  return below < classes ? below : last;
}

static int32_t last_of_weight(const float* weights, int32_t classes) {
  int32_t last = classes - 1;
  while (last > 0 && weights[last] == 0.0f) --last;
  return last;
}

// log(sum of exp(score)); scratch: as many floats as there are classes, padded.
static double log_sum_exp(const float* scores, int32_t classes, float* scratch) {
  float greatest;
  scale(scores, classes, 1.0f, scratch, &greatest);
  if (greatest == -INFINITY) return -INFINITY;
  for (int32_t c = 0; c < classes; c += kLanes)
    store(scratch + c, exp(load(scratch + c) - broadcast(greatest)));
  double total = 0.0;
  for (int32_t c = 0; c < classes; ++c) total += scratch[c];
  return greatest + ::log(total);
}

static float log_prob(const float* scores, int32_t classes, int32_t symbol, float* scratch) {
  return static_cast<float>(scores[symbol] - log_sum_exp(scores, classes, scratch));
}

// Weights of one row, exp(score - max) of what is kept, or the symbol itself where nothing is left
// to chance (-1 if the row draws).
static int32_t prepare(DrawArgs& draw, int32_t row, float* weights, float* scratch) {
  const float* scores = draw.scores + row * draw.scores_stride;
  const int32_t classes = draw.classes;
  const float temperature = draw.temperature[row];
  float greatest;
  const DrawError error =
      scale(scores, classes, temperature == 0.0f ? 1.0f : temperature, weights, &greatest);
  if (error != DrawError::kNone && draw.error == DrawError::kNone) {
    draw.error = error;
    draw.error_row = row;
  }
  if (draw.forced != nullptr && draw.forced[row * draw.forced_stride] >= 0)
    return static_cast<int32_t>(draw.forced[row * draw.forced_stride]);
  if (error != DrawError::kNone) return 0;
  if (temperature == 0.0f) return first_equal(weights, classes, greatest);
  if (draw.top_k[row] > 0 || draw.top_p[row] < 1.0f) {
    int32_t* order = reinterpret_cast<int32_t*>(scratch);
    keep(
        weights, classes, draw.top_k[row], draw.top_p[row], greatest, order,
        scratch + padded(classes));
  }
  const Vec most = broadcast(greatest);
  for (int32_t c = 0; c < classes; c += kLanes) store(weights + c, exp(load(weights + c) - most));
  return -1;
}

static void draw_categorical(DrawArgs& draw) {
  const int32_t stride = padded(draw.classes);
  float* scratch = draw.scratch + kDrawRows * stride;
  for (int32_t row = draw.row_begin; row < draw.row_end; row += kDrawRows) {
    const int rows = draw.row_end - row < kDrawRows ? draw.row_end - row : kDrawRows;
    int32_t symbols[kDrawRows];
    int32_t last[kDrawRows];
    for (int r = 0; r < rows; ++r) {
      float* weights = draw.scratch + r * stride;
      symbols[r] = prepare(draw, row + r, weights, scratch);
      last[r] = last_of_weight(weights, draw.classes);
    }
    running_sums(draw.scratch, stride, rows, draw.classes);
    for (int r = 0; r < rows; ++r) {
      const float uniform = draw.uniforms[(row + r) * draw.uniforms_stride];
      if (symbols[r] < 0)
        symbols[r] = choose(draw.scratch + r * stride, draw.classes, last[r], uniform);
      draw.symbols[0][row + r] = symbols[r];
      draw.values[(row + r) * draw.values_stride] = symbols[r];
      if (draw.log_probs == nullptr) continue;
      const float* scores = draw.scores + (row + r) * draw.scores_stride;
      draw.log_probs[(row + r) * draw.log_probs_stride] =
          log_prob(scores, draw.classes, symbols[r], scratch);
    }
  }
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
