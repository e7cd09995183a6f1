// The mixture of discretised logistics: a component, then a level of each channel of a pixel.
// genfast.heads.LogisticMixture has the distribution; parameters lie as
//
//   [K] logits   [C][K] means   [C][K] log-scales   [C(C-1)/2][K] couplings, (1,0), (2,0), (2,1),
//   ..
//
// One thread a cell: components are few. Locations and spreads are counted in levels.
#pragma once

#include <math.h>

#include "cuda/kernel/head.h"

namespace genfast::cuda {

template <class Block>
class Mixture : Head<Block> {
 public:
  using Head<Block>::Head;

  GENFAST_DEVICE void run() {
    const int32_t all = cells_.count(step_);
    this->copy_scores(all);
    block_.each(all, [&](int32_t i) {
      const Cell cell = cells_.cell(step_, i);
      if (cell.live) draw(cell);
    });
    block_.sync();
  }

 private:
  using Head<Block>::cells_;
  using Head<Block>::step_;
  using Head<Block>::block_;
  using Head<Block>::plan_;

  static constexpr float kLeastLogScale = -7.0f;
  static constexpr float kMostLogScale = 20.0f;
  static constexpr float kLeastUniform = 0x1p-25f;  // stands for 0
  static constexpr float kFarthest = 1e30f;         // of a draw from its location

  GENFAST_DEVICE int32_t components() const { return step_.choices; }
  GENFAST_DEVICE float top() const { return static_cast<float>(step_.classes - 1); }
  GENFAST_DEVICE float real(int32_t level) const {
    return static_cast<float>(level) * (2.0f / top()) - 1.0f;
  }
  GENFAST_DEVICE static float clamped(float x, float low, float high) {
    return x > low ? (x < high ? x : high) : low;  // NaN: low
  }

  GENFAST_DEVICE float logit(const Cell& cell, int32_t k) const { return this->score(cell, k); }
  GENFAST_DEVICE float mean(const Cell& cell, int32_t c, int32_t k) const {
    return this->score(cell, (1 + c) * components() + k);
  }
  GENFAST_DEVICE float log_scale(const Cell& cell, int32_t c, int32_t k) const {
    const float x = this->score(cell, (1 + step_.num_targets + c) * components() + k);
    return clamped(x, kLeastLogScale, kMostLogScale);
  }
  // Of channel c to the one before it, j.
  GENFAST_DEVICE float coupling(const Cell& cell, int32_t c, int32_t j, int32_t k) const {
    const int32_t pair = c * (c - 1) / 2 + j;
    return tanhf(this->score(cell, (1 + 2 * step_.num_targets + pair) * components() + k));
  }

  // Where channel c of component k stands, given the levels before it.
  GENFAST_DEVICE float coupled(
      const Cell& cell,
      int32_t c,
      int32_t k,
      const int32_t (&levels)[kMostTargets]) const {
    float at = mean(cell, c, k);
    for (int32_t j = 0; j < c; ++j) at += coupling(cell, c, j, k) * real(levels[j]);
    return (at + 1.0f) * (top() / 2.0f);
  }

  GENFAST_DEVICE bool usable(const Cell& cell) const {
    const int32_t width = cells_.buffer(step_.scores).width;
    bool nan = false;
    bool infinite = false;
    for (int32_t i = 0; i < width; ++i) {
      const float x = this->score(cell, i);
      nan = nan || x != x;
      infinite = infinite || x == INFINITY || x == -INFINITY;
    }
    if (nan)
      this->fail(cell, Wrong::kNotANumber);
    else if (infinite)
      this->fail(cell, Wrong::kNotFinite);
    return !nan && !infinite;
  }

  GENFAST_DEVICE float scaled(const Cell& cell, int32_t k) const {
    const float temperature = this->temperature(cell);
    const float x = logit(cell, k);
    return temperature == 0.0f || temperature == 1.0f ? x : x / temperature;
  }

  GENFAST_DEVICE int32_t component(const Cell& cell) const {
    float most = -INFINITY;
    int32_t best = 0;
    for (int32_t k = 0; k < components(); ++k)
      if (const float x = scaled(cell, k); x > most) {
        most = x;
        best = k;
      }
    if (this->temperature(cell) == 0.0f) return best;
    float total = 0.0f;
    for (int32_t k = 0; k < components(); ++k) total += expf(scaled(cell, k) - most);
    const float edge = this->uniforms(cell)[0] * total;
    float sum = 0.0f;
    for (int32_t k = 0; k < components(); ++k) {
      const float w = expf(scaled(cell, k) - most);
      sum += w;
      if (w > 0.0f) best = k;
      if (sum > edge) return k;
    }
    return best;
  }

  GENFAST_DEVICE void draw(const Cell& cell) const {
    int32_t levels[kMostTargets] = {};
    const bool good = usable(cell);
    if (this->forced(cell, 0) >= 0) {
      for (int32_t c = 0; c < step_.num_targets; ++c) levels[c] = this->forced(cell, c);
    } else if (good) {
      const int32_t k = component(cell);
      for (int32_t c = 0; c < step_.num_targets; ++c) levels[c] = level(cell, c, k, levels);
    }
    for (int32_t c = 0; c < step_.num_targets; ++c) this->give(cell, c, levels[c]);
    if (float* to = this->log_prob_of(cell)) *to = log_prob(cell, levels);
  }

  GENFAST_DEVICE int32_t
  level(const Cell& cell, int32_t c, int32_t k, const int32_t (&levels)[kMostTargets]) const {
    const float u = this->uniforms(cell)[1 + c];
    const float logistic = logf(1.0f - u) - logf(u > kLeastUniform ? u : kLeastUniform);
    const float spread = expf(log_scale(cell, c, k)) * (top() / 2.0f) * logistic;
    const float y = coupled(cell, c, k, levels) +
                    clamped(spread * this->temperature(cell), -kFarthest, kFarthest);
    return static_cast<int32_t>(clamped(y + 0.5f, 0.0f, top()));
  }

  // log(1 / (1 + e^-x))
  GENFAST_DEVICE static float log_sigmoid(float x) {
    return fminf(x, 0.0f) - log1pf(expf(-fabsf(x)));
  }

  // log p(level) of a channel: with s the logistic function, a and b the edges of the bin over the
  // scale, s(b) - s(a) = s(b) s(-a) (1 - e^(a - b)).
  GENFAST_DEVICE float log_bin(float location, float log_scale, int32_t level) const {
    const float width = expf(-log_scale) * (2.0f / top());
    const float x = static_cast<float>(level);
    const float above = log_sigmoid((x + 0.5f - location) * width);
    if (level == 0) return above;
    const float below = log_sigmoid((location - x + 0.5f) * width);
    if (level == step_.classes - 1) return below;
    return below + above + logf(-expm1f(-width));
  }

  GENFAST_DEVICE float log_prob(const Cell& cell, const int32_t (&levels)[kMostTargets]) const {
    float most = -INFINITY;
    float most_logit = -INFINITY;
    for (int32_t k = 0; k < components(); ++k) {
      most = fmaxf(most, joint(cell, k, levels));
      most_logit = fmaxf(most_logit, logit(cell, k));
    }
    double sum = 0.0;
    double weights = 0.0;
    for (int32_t k = 0; k < components(); ++k) {
      sum += expf(joint(cell, k, levels) - most);
      weights += expf(logit(cell, k) - most_logit);
    }
    return static_cast<float>(most + log(sum) - (most_logit + log(weights)));
  }

  GENFAST_DEVICE float joint(const Cell& cell, int32_t k, const int32_t (&levels)[kMostTargets])
      const {
    float sum = logit(cell, k);
    for (int32_t c = 0; c < step_.num_targets; ++c)
      sum += log_bin(coupled(cell, c, k, levels), log_scale(cell, c, k), levels[c]);
    return sum;
  }
};

}  // namespace genfast::cuda
