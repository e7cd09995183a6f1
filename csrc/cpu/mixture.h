// The mixture of discretised logistics: a component, then a level of each channel of a pixel.
// genfast.heads.LogisticMixture has the distribution; parameters lie as
//
//   [K] logits   [C][K] means   [C][K] log-scales   [C(C-1)/2][K] couplings, (1,0), (2,0), (2,1),
//   ..
//
// The component is drawn like a class. Levels follow one another, each by inverting its logistic:
// what stands in vectors are the transcendental functions of all channels. Locations and spreads
// are counted in levels. A density is computed for all components side by side.
#pragma once

#include "cpu/categorical.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

inline constexpr float kLeastLogScale = -7.0f;
inline constexpr float kMostLogScale = 20.0f;
inline constexpr float kLeastUniform = 0x1p-25f;  // stands for 0
inline constexpr float kFarthest = 1e30f;         // of a draw from its location
inline constexpr int kMaxCouplings = kMaxChannels * (kMaxChannels - 1) / 2;

static inline int32_t couplings_of(int32_t channels) { return channels * (channels - 1) / 2; }

static inline float clamped(float x, float low, float high) {
  return x > low ? (x < high ? x : high) : low;  // NaN: low
}

// Parameters of one pixel, and how levels stand for reals: r(x) = x * step - 1.
struct Mixture {
  const float* logits;
  const float* means;
  const float* log_scales;
  const float* couplings;
  int32_t components;
  int32_t channels;
  int32_t parameters;
  float top;   // the highest level
  float half;  // levels for a distance of 1
  float step;
};

static inline Mixture mixture_of(const DrawArgs& draw, int64_t row) {
  const int32_t k = draw.mixtures;
  const int32_t c = draw.channels;
  const float* logits = draw.scores + row * draw.scores_stride;
  const float top = static_cast<float>(draw.classes - 1);
  return {
      logits,
      logits + k,
      logits + k * (1 + c),
      logits + k * (1 + 2 * c),
      k,
      c,
      k * (1 + 2 * c + couplings_of(c)),
      top,
      top / 2.0f,
      2.0f / top};
}

static DrawError unusable(const Mixture& mixture) {
  bool wrong = false;
  bool nan = false;
  for (int32_t i = 0; i < mixture.parameters; i += kLanes) {
    Vec x = load(mixture.logits + i);
    if (mixture.parameters - i < kLanes)
      x = select(first_lanes(mixture.parameters - i), x, broadcast(0.0f));
    wrong |= any(is_nan(x - x));
    nan |= any(is_nan(x));
  }
  return nan ? DrawError::kNotANumber : wrong ? DrawError::kNotFinite : DrawError::kNone;
}

// Weights of the components, or the component itself where nothing is left to chance (-1 if the row
// draws).
static int32_t weigh(DrawArgs& draw, int32_t row, float* weights) {
  const Mixture mixture = mixture_of(draw, row);
  const float temperature = draw.temperature[row];
  float greatest;
  const DrawError scaled = scale(
      mixture.logits, mixture.components, temperature == 0.0f ? 1.0f : temperature, weights,
      &greatest);
  const DrawError parameters = unusable(mixture);
  const DrawError error = parameters != DrawError::kNone ? parameters : scaled;
  if (error != DrawError::kNone && draw.error == DrawError::kNone) {
    draw.error = error;
    draw.error_row = row;
  }
  if (error != DrawError::kNone) return 0;
  if (temperature == 0.0f) return first_equal(weights, mixture.components, greatest);
  const Vec most = broadcast(greatest);
  for (int32_t k = 0; k < mixture.components; k += kLanes)
    store(weights + k, exp(load(weights + k) - most));
  return -1;
}

// What draws of a few rows need of the transcendental functions, computed for all rows at once.
// Rows lie one behind the other, `channels` deviations and a coupling a pair of channels each.
struct Transcendentals {
  // spread * (log v - log1p(-v)), v = 1 - u: how far a channel lies from its location, in levels
  float deviation[kDrawRows * kMaxChannels];
  float coupling[kDrawRows * kMaxCouplings];
};

static void prepare_levels(
    const DrawArgs& draw,
    int32_t row,
    int rows,
    const int32_t* components,
    Transcendentals* out) {
  float v[kDrawRows * kMaxChannels];
  float u[kDrawRows * kMaxChannels];
  const int32_t couplings = couplings_of(draw.channels);
  for (int r = 0; r < rows; ++r) {
    const Mixture mixture = mixture_of(draw, row + r);
    const float* uniforms = draw.uniforms + (row + r) * draw.uniforms_stride + 1;
    const float* log_scales = mixture.log_scales + components[r];
    for (int32_t c = 0, i = r * draw.channels; c < draw.channels; ++c, ++i) {
      out->deviation[i] = clamped(log_scales[c * draw.mixtures], kLeastLogScale, kMostLogScale);
      v[i] = 1.0f - uniforms[c];
      u[i] = uniforms[c] > kLeastUniform ? uniforms[c] : kLeastUniform;
    }
    for (int32_t i = 0; i < couplings; ++i)
      out->coupling[r * couplings + i] = mixture.couplings[i * draw.mixtures + components[r]];
  }
  const int32_t n = rows * draw.channels;
  map<exp>(out->deviation, out->deviation, n);
  map<log>(v, v, n);
  map<log>(u, u, n);
  map<tanh>(out->coupling, out->coupling, rows * couplings);
  const float half = static_cast<float>(draw.classes - 1) / 2.0f;
  for (int32_t i = 0; i < n; ++i) out->deviation[i] *= half * (v[i] - u[i]);
}

// The levels of a pixel, one after the other: each sees those before it. deviation and coupling are
// the row's.
static void draw_levels(
    const Mixture& mixture,
    int32_t component,
    const float* deviation,
    const float* coupling,
    float temperature,
    int32_t* levels) {
  for (int32_t c = 0; c < mixture.channels; ++c) {
    const float* before = coupling + couplings_of(c);
    float mean = mixture.means[c * mixture.components + component];
    for (int32_t j = 0; j < c; ++j)
      mean += before[j] * (static_cast<float>(levels[j]) * mixture.step - 1.0f);
    const float y =
        (mean + 1.0f) * mixture.half + clamped(deviation[c] * temperature, -kFarthest, kFarthest);
    levels[c] = static_cast<int32_t>(clamped(y + 0.5f, 0.0f, mixture.top));
  }
}

// log(1 / (1 + e^-x))
static inline Vec log_sigmoid(Vec x) {
  const Vec minus_magnitude = bits_or(broadcast(-0.0f), x);
  return min(x, broadcast(0.0f)) - log(exp(minus_magnitude) + broadcast(1.0f));
}

// log p(level) of one channel in the components around k, whose mean is given: with s the logistic
// function, a and b the edges of the bin over the scale, s(b) - s(a) = s(b) s(-a) (1 - e^(a - b)).
static inline Vec log_bin(const Mixture& mixture, int32_t c, int32_t k, Vec mean, float level) {
  const Vec log_scale = load(mixture.log_scales + c * mixture.components + k);
  const Vec bounded = max(broadcast(kLeastLogScale), min(broadcast(kMostLogScale), log_scale));
  const Vec width = exp(broadcast(0.0f) - bounded) * broadcast(mixture.step);
  const Vec location = (mean + broadcast(1.0f)) * broadcast(mixture.half);
  const Vec above = log_sigmoid((broadcast(level + 0.5f) - location) * width);
  if (level == 0.0f) return above;
  const Vec below = log_sigmoid((location - broadcast(level - 0.5f)) * width);
  if (level == mixture.top) return below;
  const Vec e = expm1_twice_magnitude(width * broadcast(0.5f));
  return below + above + log(e / (e + broadcast(1.0f)));
}

// scratch: room for two padded rows of components.
static float mixture_log_prob(const Mixture& mixture, const int32_t* levels, float* scratch) {
  for (int32_t k = 0; k < mixture.components; k += kLanes) {
    Vec joint = load(mixture.logits + k);
    const float* coupling = mixture.couplings + k;
    for (int32_t c = 0; c < mixture.channels; ++c) {
      Vec mean = load(mixture.means + c * mixture.components + k);
      for (int32_t j = 0; j < c; ++j, coupling += mixture.components) {
        const float real = static_cast<float>(levels[j]) * mixture.step - 1.0f;
        mean = fma(tanh(load(coupling)), broadcast(real), mean);
      }
      joint = joint + log_bin(mixture, c, k, mean, static_cast<float>(levels[c]));
    }
    store(scratch + k, joint);
  }
  float* rest = scratch + padded(mixture.components);
  const double whole = log_sum_exp(mixture.logits, mixture.components, rest);
  return static_cast<float>(log_sum_exp(scratch, mixture.components, rest) - whole);
}

// Whether the pixel of a row is given, and its levels then.
static bool take_forced(const DrawArgs& draw, int32_t row, int32_t* levels) {
  if (draw.forced == nullptr) return false;
  const int64_t* forced = draw.forced + row * draw.forced_stride;
  if (forced[0] < 0) return false;
  for (int32_t c = 0; c < draw.channels; ++c) levels[c] = static_cast<int32_t>(forced[c]);
  return true;
}

static void write_pixel(
    const DrawArgs& draw,
    int32_t row,
    const Mixture& mixture,
    const int32_t* levels,
    float* scratch) {
  for (int32_t c = 0; c < draw.channels; ++c) {
    draw.symbols[c][row] = levels[c];
    draw.values[row * draw.values_stride + c] = levels[c];
  }
  if (draw.log_probs != nullptr)
    draw.log_probs[row * draw.log_probs_stride] = mixture_log_prob(mixture, levels, scratch);
}

// Pixels of a few rows, each from its component.
static void draw_pixels(
    const DrawArgs& draw,
    int32_t row,
    int rows,
    const int32_t* components,
    float* scratch) {
  Transcendentals known;
  prepare_levels(draw, row, rows, components, &known);
  for (int r = 0; r < rows; ++r) {
    const Mixture mixture = mixture_of(draw, row + r);
    int32_t levels[kMaxChannels];
    if (!take_forced(draw, row + r, levels))
      draw_levels(
          mixture, components[r], known.deviation + r * draw.channels,
          known.coupling + r * couplings_of(draw.channels), draw.temperature[row + r], levels);
    write_pixel(draw, row + r, mixture, levels, scratch);
  }
}

static void draw_logistic_mixture(DrawArgs& draw) {
  const int32_t stride = padded(draw.mixtures);
  float* scratch = draw.scratch + kDrawRows * stride;
  for (int32_t row = draw.row_begin; row < draw.row_end; row += kDrawRows) {
    const int rows = draw.row_end - row < kDrawRows ? draw.row_end - row : kDrawRows;
    int32_t components[kDrawRows];
    int32_t last[kDrawRows];
    for (int r = 0; r < rows; ++r) {
      float* weights = draw.scratch + r * stride;
      components[r] = weigh(draw, row + r, weights);
      last[r] = last_of_weight(weights, draw.mixtures);
    }
    running_sums(draw.scratch, stride, rows, draw.mixtures);
    for (int r = 0; r < rows; ++r) {
      const float uniform = draw.uniforms[(row + r) * draw.uniforms_stride];
      if (components[r] < 0)
        components[r] = choose(draw.scratch + r * stride, draw.mixtures, last[r], uniform);
    }
    draw_pixels(draw, row, rows, components, scratch);
  }
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
