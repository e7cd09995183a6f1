// The categorical head: temperature, top-k, top-p and the draw, at all cells of a machine; every
// block draws all of them. Classes are cut into segments that are summed side by side.
//
// The draw is the first kept class whose running sum of weights exceeds uniform * total, the
// running sum of a class being that of the segments before it, then of the classes before it in its
// own.
#pragma once

#include <math.h>

#include "cuda/kernel/head.h"

namespace genfast::cuda {

template <class Block>
class Categorical : Head<Block> {
 public:
  using Head<Block>::Head;

  GENFAST_DEVICE void run() {
    const int32_t all = cells_.count(step_);
    this->copy_scores(all);
    for (int32_t first = 0; first < all; first += plan_.draw_at_once) {
      first_ = first;
      count_ = all - first < plan_.draw_at_once ? all - first : plan_.draw_at_once;
      segments([&](const Cell& cell, float* words, int32_t s) { scale(cell, words, s); });
      each_cell([&](const Cell& cell, float* words) { find_greatest(cell, words); });
      keep();
      segments([&](const Cell& cell, float* words, int32_t s) { weigh(cell, words, s); });
      each_cell([&](const Cell& cell, float* words) { draw(cell, words); });
    }
  }

 private:
  using Head<Block>::cells_;
  using Head<Block>::step_;
  using Head<Block>::block_;
  using Head<Block>::plan_;

  // Scratch of a cell: weights; of each class, the weight before it; of each segment, its greatest
  // and its sum; of all, the greatest, and the weight of the k best.
  GENFAST_DEVICE float* marks(float* words) const { return words + step_.choices; }
  GENFAST_DEVICE float* greatest_of(float* words) const { return words + 2 * step_.choices; }
  GENFAST_DEVICE float* sums(float* words) const { return greatest_of(words) + kSegments; }
  GENFAST_DEVICE float* greatest(float* words) const { return sums(words) + kSegments; }
  GENFAST_DEVICE float* total(float* words) const { return greatest(words) + 1; }

  GENFAST_DEVICE int32_t segment() const { return (step_.classes + kSegments - 1) / kSegments; }
  GENFAST_DEVICE int32_t end(int32_t s) const {
    const int32_t end = (s + 1) * segment();
    return end < step_.classes ? end : step_.classes;
  }

  template <typename F>
  GENFAST_DEVICE void each_cell(F f) {
    block_.each(count_, [&](int32_t i) {
      const Cell cell = cells_.cell(step_, first_ + i);
      if (cell.live) f(cell, this->scratch(i));
    });
    block_.sync();
  }

  template <typename F>
  GENFAST_DEVICE void segments(F f) {
    block_.each(count_ * kSegments, [&](int32_t i) {
      const Cell cell = cells_.cell(step_, first_ + i / kSegments);
      if (cell.live) f(cell, this->scratch(i / kSegments), i % kSegments);
    });
    block_.sync();
  }

  template <typename F>
  GENFAST_DEVICE void classes(F f) {
    block_.each(count_ * step_.classes, [&](int32_t i) {
      const Cell cell = cells_.cell(step_, first_ + i / step_.classes);
      if (cell.live) f(cell, this->scratch(i / step_.classes), i % step_.classes);
    });
    block_.sync();
  }

  GENFAST_DEVICE void scale(const Cell& cell, float* words, int32_t s) const {
    const float temperature = this->temperature(cell);
    float most = -INFINITY;
    for (int32_t c = s * segment(); c < end(s); ++c) {
      float x = this->score(cell, c);
      if (temperature != 0.0f && temperature != 1.0f) x /= temperature;
      this->store(words + c, x);
      if (!(x <= most)) most = x;  // NaN, and then only NaN: nothing is at most NaN
      if (most != most) break;
    }
    this->store(greatest_of(words) + s, most);
  }

  GENFAST_DEVICE void find_greatest(const Cell& cell, float* words) const {
    float most = -INFINITY;
    for (int32_t s = 0; s < kSegments && most == most; ++s) {
      const float x = this->load(greatest_of(words) + s);
      if (!(x <= most)) most = x;
    }
    if (most != most)
      this->fail(cell, Wrong::kNotANumber);
    else if (most == INFINITY)
      this->fail(cell, Wrong::kInfinite);
    else if (most == -INFINITY)
      this->fail(cell, Wrong::kNothingLeft);
    this->store(greatest(words), most);
  }

  GENFAST_DEVICE int64_t top_k(const Cell& cell) const {
    return cells_.launch.top_k[this->batch_row(cell)];
  }

  GENFAST_DEVICE float top_p(const Cell& cell) const {
    return cells_.launch.top_p[this->batch_row(cell)];
  }

  // Excludes what top-k and top-p leave out. Each class looks for those before it, in the order of
  // falling scores, equal ones by lower index, and adds up their weight.
  GENFAST_DEVICE void keep() {
    bool any = false;
    for (int32_t i = 0; i < count_ && !any; ++i) {
      const Cell cell = cells_.cell(step_, first_ + i);
      any = cell.live && (top_k(cell) > 0 || top_p(cell) < 1.0f);
    }
    if (!any) return;
    classes([&](const Cell& cell, float* words, int32_t c) {
      this->store(marks(words) + c, mass_before(cell, words, c));
    });
    each_cell([&](const Cell&, float* words) {
      const float most = this->load(greatest(words));
      float mass = 0.0f;
      for (int32_t c = 0; c < step_.classes; ++c)
        if (this->load(marks(words) + c) >= 0.0f) mass += expf(this->load(words + c) - most);
      this->store(total(words), mass);
    });
    classes([&](const Cell& cell, float* words, int32_t c) {
      const float before = this->load(marks(words) + c);
      const float p = top_p(cell);
      const bool kept = before == 0.0f || p >= 1.0f || before < p * this->load(total(words));
      if (before < 0.0f || !kept) this->store(words + c, -INFINITY);
    });
  }

  // The weight of the classes that stand before one; -1 where they are k or more.
  GENFAST_DEVICE float mass_before(const Cell& cell, const float* words, int32_t c) const {
    const int64_t k = top_k(cell);
    const float mine = this->load(words + c);
    const float most = this->load(greatest(const_cast<float*>(words)));
    int64_t before = 0;
    float mass = 0.0f;
    for (int32_t j = 0; j < step_.classes; ++j) {
      const float x = this->load(words + j);
      if (!(x > mine || (x == mine && j < c))) continue;
      mass += expf(x - most);
      if (++before == k) return -1.0f;
    }
    return mass;
  }

  GENFAST_DEVICE void weigh(const Cell& cell, float* words, int32_t s) const {
    if (this->temperature(cell) == 0.0f) return;
    const float most = this->load(greatest(words));
    float sum = 0.0f;
    for (int32_t c = s * segment(); c < end(s); ++c) {
      const float w = expf(this->load(words + c) - most);
      this->store(words + c, w);
      sum += w;
    }
    this->store(sums(words) + s, sum);
  }

  GENFAST_DEVICE void draw(const Cell& cell, float* words) const {
    const float most = this->load(greatest(words));
    int32_t symbol = this->forced(cell, 0);
    if (symbol < 0)
      symbol = !(most > -INFINITY && most < INFINITY) ? 0
               : this->temperature(cell) == 0.0f      ? best(words, most)
                                                      : chosen(words, *this->uniforms(cell));
    this->give(cell, 0, symbol);
    if (float* to = this->log_prob_of(cell)) *to = log_prob(cell, symbol);
  }

  // The lowest class of the greatest score that is kept.
  GENFAST_DEVICE int32_t best(const float* words, float most) const {
    for (int32_t c = 0; c < step_.classes; ++c)
      if (this->load(words + c) == most) return c;
    return step_.classes - 1;
  }

  GENFAST_DEVICE int32_t chosen(float* words, float uniform) const {
    float total = 0.0f;
    for (int32_t s = 0; s < kSegments; ++s) total += this->load(sums(words) + s);
    const float edge = uniform * total;
    int32_t last = 0;  // the highest class of non-zero weight
    float before = 0.0f;
    for (int32_t s = 0; s < kSegments; ++s) {
      const float behind = before + this->load(sums(words) + s);
      // A segment's sum may round to less than its classes add up to, one by one.
      float sum = before;
      for (int32_t c = s * segment(); behind > edge && c < end(s); ++c) {
        const float w = this->load(words + c);
        sum += w;
        if (w > 0.0f) last = c;
        if (sum > edge) return c;
      }
      if (behind > edge) return last;
      before = behind;
    }
    for (int32_t c = step_.classes; c-- > 0;)
      if (this->load(words + c) > 0.0f) return c;
    return last;
  }

  GENFAST_DEVICE float log_prob(const Cell& cell, int32_t symbol) const {
    float most = -INFINITY;
    for (int32_t c = 0; c < step_.classes; ++c) most = fmaxf(most, this->score(cell, c));
    double total = 0.0;
    for (int32_t c = 0; c < step_.classes; ++c) total += expf(this->score(cell, c) - most);
    return static_cast<float>(this->score(cell, symbol) - (most + log(total)));
  }

  int32_t first_ = 0;
  int32_t count_ = 0;
};

}  // namespace genfast::cuda
