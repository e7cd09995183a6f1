// exp, tanh, sigmoid and log of vectors. Bounds, tested against float64 over the whole domain:
//
//   exp      1.5 ulp on [-87.3, 88]; exactly 0 below -87.3 (-inf too); the value at 88 above 88
//   tanh     3 ulp everywhere
//   sigmoid  3 ulp on [-87, inf); below -87 the value at -87
//   log      2 ulp for normal positive x
//
// NaN gives NaN. Polynomials are evaluated by halves (Estrin 1960): their chains of multiply-adds
// are what a vector waits for. Coefficients: least maximum relative error, fitted by iteratively
// reweighted least squares.
#pragma once

#include "cpu/vec.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// e^x - 1 = 2^n * part + (2^n - 1), x = n ln 2 + r, |r| <= ln(2)/2, part = e^r - 1.
struct Reduced {
  Vec part;
  Vec n;
};

static inline Reduced reduce(Vec x) {
  const Vec n = round(x * broadcast(1.44269504088896341f));
  Vec r = fma(n, broadcast(-0.693359375f), x);  // ten bits of ln 2: n times it is exact
  r = fma(n, broadcast(2.12194440e-4f), r);
  const Vec square = r * r;
  const Vec low = fma(broadcast(1.666654342e-01f), r, broadcast(4.999999815e-01f));
  const Vec high = fma(broadcast(8.366547234e-03f), r, broadcast(4.166720071e-02f));
  const Vec q = fma(fma(broadcast(1.388251651e-03f), square, high), square, low);
  return {fma(square, q, r), n};
}

static inline Vec exp(Vec x) {
  const Vec lowest = broadcast(-87.3f);
  const Reduced e = reduce(max(lowest, min(broadcast(88.0f), x)));
  const Vec y = scale_by_power_of_two(e.part + broadcast(1.0f), e.n);
  return select(less(x, lowest), broadcast(0.0f), y);
}

// 1 + e^-x, the denominator of the logistic function.
static inline Vec one_plus_exp_minus(Vec x) {
  const Vec bound = broadcast(87.0f);
  const Reduced e = reduce(max(broadcast(-87.0f), min(bound, broadcast(0.0f) - x)));
  return scale_by_power_of_two(e.part + broadcast(1.0f), e.n) + broadcast(1.0f);
}

static inline Vec sigmoid(Vec x) { return broadcast(1.0f) / one_plus_exp_minus(x); }

// e^(2|x|) - 1: tanh |x| is it over itself plus two.
static inline Vec expm1_twice_magnitude(Vec x) {
  const Vec magnitude = bits_andnot(broadcast(-0.0f), x);
  const Reduced e = reduce(min(broadcast(20.0f), magnitude + magnitude));
  const Vec power = scale_by_power_of_two(broadcast(1.0f), e.n);
  return fma(power, e.part, power - broadcast(1.0f));
}

static inline Vec with_sign_of(Vec magnitude, Vec x) {
  return bits_or(magnitude, bits_and(broadcast(-0.0f), x));
}

static inline Vec tanh(Vec x) {
  const Vec e = expm1_twice_magnitude(x);
  return with_sign_of(e / (e + broadcast(2.0f)), x);
}

// With one division for both, which take longer than the rest. Below b = -68 it may be 0 where the
// product is 1e-30.
static inline Vec tanh_times_sigmoid(Vec a, Vec b) {
  const Vec e = expm1_twice_magnitude(a);
  return with_sign_of(e / ((e + broadcast(2.0f)) * one_plus_exp_minus(b)), a);
}

// log x = n ln 2 + log(1 + f), sqrt(1/2) <= 1 + f < sqrt(2): the sum of n * kLn2High and f, both
// exact, and of `rest`, smaller than either.
struct Logarithm {
  Vec n, f, rest;
};

inline constexpr float kLn2High = 0.693359375f;  // ten bits of ln 2

static inline Logarithm take_log(Vec x) {
  Vec m, n;
  split_exponent(x, &m, &n);
  const Mask upper = less(broadcast(1.41421356f), m);
  m = select(upper, m * broadcast(0.5f), m);
  n = select(upper, n + broadcast(1.0f), n);
  const Vec f = m - broadcast(1.0f);
  const Vec square = f * f;
  const Vec s01 = fma(broadcast(-2.500000960e-01f), f, broadcast(3.333331260e-01f));
  const Vec s23 = fma(broadcast(-1.666799617e-01f), f, broadcast(2.000211883e-01f));
  const Vec s45 = fma(broadcast(-1.240558044e-01f), f, broadcast(1.421954885e-01f));
  const Vec s67 = fma(broadcast(-1.167571616e-01f), f, broadcast(1.188818160e-01f));
  const Vec fourth = square * square;
  const Vec low = fma(s23, square, s01);
  const Vec high = fma(broadcast(6.746676002e-02f), fourth, fma(s67, square, s45));
  const Vec s = fma(high, fourth, low);
  const Vec y = fma(square * f, s, n * broadcast(-2.12194440e-4f));
  return {n, f, fma(broadcast(-0.5f), square, y)};
}

static inline Vec log(Vec x) {
  const Logarithm l = take_log(x);
  return select(is_nan(x), x, fma(l.n, broadcast(kLn2High), l.f + l.rest));
}

using Function = Vec (*)(Vec);

template <Function function>
static void map(const float* x, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(y + i, function(load(x + i)));
  if (i == n) return;
  float rest[kLanes] = {};
  for (int64_t j = i; j < n; ++j) rest[j - i] = x[j];
  store(rest, function(load(rest)));
  for (int64_t j = i; j < n; ++j) y[j] = rest[j - i];
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
