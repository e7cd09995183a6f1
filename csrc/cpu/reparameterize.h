// z = mean + sigma eps with sigma = exp(logvar / 2), the divergence of each row from N(0, 1), and
// the gradients of both; eps is drawn where it is used, forward and again backward.
//
// A row is computed in steps of as many columns as one vector of blocks has normals; what is too
// short for one is computed as a whole step on zeros behind it, which add nothing to the
// divergence. Noise is drawn for a batch of steps, of several rows where these are short, into some
// kilobytes: each stage on its own keeps the units busy that one step after the other leaves
// waiting. Nothing else is shared between rows, so that a row has the same bits in any batch.
//
// Error: sigma = power * (1 + part), a power of two and a part that is rounded once, so that
// sigma * eps = power * (hi + (lo + part * hi)) and z are rounded once each. |z - exact| is below
// 4 * 2^-24 * (|mean| + sigma r), r the radius of the pair; the largest found is 2.9 of the 4, and
// 1 where floats have no fused multiply-add and all is computed in doubles.
//
// Floor: in float32, 12 bytes an element forward (two read, one written), 20 backward (three read,
// two written). Arithmetic is above it where two threads share some 20 GB/s: for 16 elements in 8
// lanes 124 operations of Threefry, of some 300 in all, take 120 cycles either way; 2.4 ns an
// element and thread at 3.2 GHz.
#pragma once

#include "cpu/half.h"
#include "cpu/normal.h"
#include "cpu/reparameterize_args.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// How values of type T are loaded and stored in vectors of `Math`.
template <class Math, typename T>
struct Values;

template <typename T>
struct Values<Single, T> {
  static inline Vec get(const T* p) { return load(p); }
  static inline void put(T* p, Vec x) { store(p, x); }
};

template <>
struct Values<Double, double> {
  static inline Wide get(const double* p) { return load_wide(p); }
  static inline void put(double* p, Wide x) { store_wide(p, x); }
};

static inline float to_float(float x) { return x; }
static inline void round_to(float x, float* to) { *to = x; }

template <typename T>
struct Values<Double, T> {
  static inline Wide get(const T* p) {
    Wide x;
    for (int i = 0; i < kWideLanes; ++i) x[i] = to_float(p[i]);
    return x;
  }
  static inline void put(T* p, Wide x) {
    for (int i = 0; i < kWideLanes; ++i) round_to(static_cast<float>(x[i]), p + i);
  }
};

// What type T is computed in.
template <typename T>
struct FormOf {
  using Noise = SingleNoise;
};
template <>
struct FormOf<double> {
  using Noise = DoubleNoise<true>;
};
#if GENFAST_ISA_LEVEL < 3 && !defined(__aarch64__)
template <>
struct FormOf<float> {
  using Noise = DoubleNoise<false>;
};
template <>
struct FormOf<Half> {
  using Noise = DoubleNoise<false>;
};
template <>
struct FormOf<BFloat16> {
  using Noise = DoubleNoise<false>;
};
#endif

template <typename T>
struct Form {
  using Noise = typename FormOf<T>::Noise;
  using Math = typename Noise::Math;
  using Vector = typename Math::Vector;
  using Scalar = typename Math::Scalar;
  static constexpr int kColumns = Noise::kVectors * Math::kWidth;  // of a step
};

// sigma = power * (1 + part), and sigma - 1.
template <class Math>
struct Sigma {
  typename Math::Vector power, part, less_one;
};

static inline Vec power_of(Vec n) { return scale_by_power_of_two(broadcast(1.0f), n); }
static inline Wide power_of(Wide n) { return power_of_two(n); }

template <class Math>
static inline Sigma<Math> sigma_of(typename Math::Vector logvar) {
  const auto e = reduce(logvar * Math::splat(0.5));
  const auto power = power_of(e.n);
  return {power, e.part, fma(power, e.part, power - Math::splat(1.0))};
}

template <class Math>
static inline typename Math::Vector clamp(typename Math::Vector logvar) {
  return max(Math::splat(kLowestLogvar), min(Math::splat(kHighestLogvar), logvar));
}

// (1 + part) eps, rounded once.
template <class Math>
static inline typename Math::Vector scale(const Sigma<Math>& sigma, const Split<Math>& eps) {
  return eps.hi + fma(sigma.part, eps.hi, eps.lo);
}

// sigma^2 - 1
template <class Math>
static inline typename Math::Vector square_less_one(const Sigma<Math>& sigma) {
  return fma(sigma.less_one, sigma.less_one, sigma.less_one + sigma.less_one);
}

// One step forward; twice the divergence is added to `sums`, NaN where a value is not finite.
template <typename T>
static inline void forward_step(
    const T* mean,
    const T* logvar,
    const Split<typename Form<T>::Math>* eps,
    T* z,
    typename Form<T>::Vector* sums) {
  using Math = typename Form<T>::Math;
  using At = Values<Math, T>;
  for (int k = 0; k < Form<T>::Noise::kVectors; ++k) {
    const auto m = At::get(mean + k * Math::kWidth);
    const auto given = At::get(logvar + k * Math::kWidth);
    const auto bounded = clamp<Math>(given);
    const Sigma<Math> sigma = sigma_of<Math>(bounded);
    At::put(z + k * Math::kWidth, fma(sigma.power, scale<Math>(sigma, eps[k]), m));
    const auto checked = fma(given, Math::splat(0.0), bounded);
    sums[k] = sums[k] + fma(m, m, square_less_one<Math>(sigma) - checked);
  }
}

// By halves: one number after the other would hold up the next row's steps.
template <class Math>
static inline typename Math::Scalar total(const typename Math::Vector* sums, int count) {
  auto whole = sums[0];
  for (int k = 1; k < count; ++k) whole = whole + sums[k];
  typename Math::Scalar parts[Math::kWidth];
  for (int i = 0; i < Math::kWidth; ++i) parts[i] = whole[i];
  for (int half = Math::kWidth / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) parts[i] += parts[i + half];
  return parts[0];
}

// The columns of a step: where they lie or, where the row ends before, in a copy with zeros behind.
template <typename T>
struct Columns {
  T copy[Form<T>::kColumns];

  const T* read(const T* from, int64_t left) {
    if (left >= Form<T>::kColumns) return from;
    for (int i = 0; i < Form<T>::kColumns; ++i) copy[i] = i < left ? from[i] : T{};
    return copy;
  }
  T* write(T* to, int64_t left) { return left >= Form<T>::kColumns ? to : copy; }
  void finish(T* to, int64_t left) const {
    if (left >= Form<T>::kColumns) return;
    for (int64_t i = 0; i < left; ++i) to[i] = copy[i];
  }
};

// The steps of some rows, one behind the other.
struct Walk {
  int64_t row;
  uint32_t step;
  uint32_t steps;  // of a row

  void advance() {
    if (++step < steps) return;
    step = 0;
    ++row;
  }
};

template <typename T>
static inline Walk walk(int64_t row, int64_t columns) {
  return {row, 0, static_cast<uint32_t>((columns + Form<T>::kColumns - 1) / Form<T>::kColumns)};
}

// Noise of the steps that follow, of rows before `end`.
template <typename T>
struct Batch {
  using Noise = typename Form<T>::Noise;
  Split<typename Form<T>::Math> eps[kBatch][Noise::kVectors];

  int draw(const Key& key, uint32_t index, Walk at, int64_t end, const float* mass) {
    Step steps[kBatch] = {};
    int count = 0;
    for (; count < kBatch && at.row < end; ++count, at.advance())
      steps[count] = {index + static_cast<uint32_t>(at.row), at.step};
    Noise::draw(key, steps, count, mass, eps);
    return count;
  }
};

template <typename T>
struct DivergenceOf {
  using Type = float;
};
template <>
struct DivergenceOf<double> {
  using Type = double;
};

template <typename T>
static void forward(ReparameterizeArgs& args) {
  using Divergence = typename DivergenceOf<T>::Type;
  using Math = typename Form<T>::Math;
  constexpr int kVectors = Form<T>::Noise::kVectors;
  const Key key(args.seed);
  auto* kl = static_cast<Divergence*>(args.kl);
  args.odd_row = -1;
  Batch<T> batch;
  Columns<T> means, logvars, latents;
  typename Form<T>::Vector sums[kVectors] = {};
  Walk at = walk<T>(args.row_begin, args.columns);
  while (at.row < args.row_end) {
    const int count = batch.draw(key, args.index, at, args.row_end, nullptr);
    for (int i = 0; i < count; ++i, at.advance()) {
      const int64_t j = static_cast<int64_t>(at.step) * Form<T>::kColumns;
      const int64_t left = args.columns - j;
      T* z = static_cast<T*>(args.z) + at.row * args.columns + j;
      forward_step<T>(
          means.read(static_cast<const T*>(args.mean) + at.row * args.mean_stride + j, left),
          logvars.read(static_cast<const T*>(args.logvar) + at.row * args.logvar_stride + j, left),
          batch.eps[i], latents.write(z, left), sums);
      latents.finish(z, left);
      if (at.step + 1 < at.steps) continue;
      kl[at.row] = static_cast<Divergence>(total<Math>(sums, kVectors) / 2);
      if (!(kl[at.row] - kl[at.row] == 0) && args.odd_row < 0) args.odd_row = at.row;
      for (int k = 0; k < kVectors; ++k) sums[k] = Math::splat(0.0);
    }
  }
}

static void reparameterize(ReparameterizeArgs& args) {
  switch (args.real) {
    case Real::kFloat32: return forward<float>(args);
    case Real::kFloat64: return forward<double>(args);
    case Real::kFloat16: return forward<Half>(args);
    case Real::kBFloat16: return forward<BFloat16>(args);
  }
}

// By mean: grad_z + grad_kl mean. By logvar: (grad_z sigma eps + grad_kl (sigma^2 - 1)) / 2, and 0
// where it is clamped.
template <typename T>
static inline void backward_step(
    const T* grad,
    typename Form<T>::Vector grad_kl,
    const T* mean,
    const T* logvar,
    const Split<typename Form<T>::Math>* eps,
    T* by_mean,
    T* by_logvar) {
  using Math = typename Form<T>::Math;
  using At = Values<Math, T>;
  for (int k = 0; k < Form<T>::Noise::kVectors; ++k) {
    const int at = k * Math::kWidth;
    const auto grad_z = At::get(grad + at);
    const auto given = At::get(logvar + at);
    const auto bounded = clamp<Math>(given);
    const Sigma<Math> sigma = sigma_of<Math>(bounded);
    At::put(by_mean + at, fma(grad_kl, At::get(mean + at), grad_z));
    const auto spread = sigma.power * scale<Math>(sigma, eps[k]);
    const auto twice = fma(grad_z, spread, grad_kl * square_less_one<Math>(sigma));
    const auto zero = Math::splat(0.0);
    const auto inside = select(less(given, bounded), zero, twice * Math::splat(0.5));
    At::put(by_logvar + at, select(less(bounded, given), zero, inside));
  }
}

template <typename T>
static void backward(const ReparameterizeBackwardArgs& args) {
  using Math = typename Form<T>::Math;
  const Key key(args.seed);
  const auto* grad_z = static_cast<const T*>(args.grad_z);
  const auto* grad_kl = static_cast<const typename DivergenceOf<T>::Type*>(args.grad_kl);
  const T zeros[Form<T>::kColumns] = {};
  Batch<T> batch;
  Columns<T> grads, means, logvars, by_means, by_logvars;
  Walk at = walk<T>(args.row_begin, args.columns);
  while (at.row < args.row_end) {
    const int count = batch.draw(key, args.index, at, args.row_end, nullptr);
    for (int i = 0; i < count; ++i, at.advance()) {
      const int64_t j = static_cast<int64_t>(at.step) * Form<T>::kColumns;
      const int64_t left = args.columns - j;
      T* by_mean = static_cast<T*>(args.by_mean) + at.row * args.columns + j;
      T* by_logvar = static_cast<T*>(args.by_logvar) + at.row * args.columns + j;
      backward_step<T>(
          grad_z == nullptr ? zeros : grads.read(grad_z + at.row * args.grad_z_stride + j, left),
          Math::splat(grad_kl == nullptr ? 0 : grad_kl[at.row * args.grad_kl_stride]),
          means.read(static_cast<const T*>(args.mean) + at.row * args.mean_stride + j, left),
          logvars.read(static_cast<const T*>(args.logvar) + at.row * args.logvar_stride + j, left),
          batch.eps[i], by_means.write(by_mean, left), by_logvars.write(by_logvar, left));
      by_means.finish(by_mean, left);
      by_logvars.finish(by_logvar, left);
    }
  }
}

static void reparameterize_backward(const ReparameterizeBackwardArgs& args) {
  switch (args.real) {
    case Real::kFloat32: return backward<float>(args);
    case Real::kFloat64: return backward<double>(args);
    case Real::kFloat16: return backward<Half>(args);
    case Real::kBFloat16: return backward<BFloat16>(args);
  }
}

// The normals of rows, each under a seed of its own, rounded to float32.
static void normals(const NormalsArgs& args) {
  using Math = Form<float>::Math;
  Batch<float> batch;
  Columns<float> rest;
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    const Key key(static_cast<uint64_t>(args.seeds[row]));
    const auto index = static_cast<uint32_t>(args.indices[row] - row);
    const float* mass = args.mass == nullptr ? nullptr : args.mass + row;
    Walk at = walk<float>(row, args.columns);
    while (at.row == row && at.steps > 0) {
      const int count = batch.draw(key, index, at, row + 1, mass);
      for (int i = 0; i < count; ++i, at.advance()) {
        const int64_t j = static_cast<int64_t>(at.step) * Form<float>::kColumns;
        float* out = args.out + row * args.columns + j;
        float* to = rest.write(out, args.columns - j);
        for (int k = 0; k < Form<float>::Noise::kVectors; ++k)
          Values<Math, float>::put(to + k * Math::kWidth, batch.eps[i][k].hi + batch.eps[i][k].lo);
        rest.finish(out, args.columns - j);
      }
    }
  }
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
