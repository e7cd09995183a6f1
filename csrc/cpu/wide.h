// `Wide`, as many doubles as fit into a vector, and what reparameterize and normals compute of
// them: for float64, and for everything where floats have no fused multiply-add. Relative errors
// are a few 2^-53.
#pragma once

#include "cpu/vec.h"

#define GENFAST_WIDE_LANES (GENFAST_LANES / 2)

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

inline constexpr int kWideLanes = GENFAST_WIDE_LANES;

typedef double Wide __attribute__((vector_size(8 * GENFAST_WIDE_LANES)));
typedef int64_t WideBits __attribute__((vector_size(8 * GENFAST_WIDE_LANES)));

static inline Wide wide(double x) { return Wide{} + x; }
static inline Wide load_wide(const double* p) {
  Wide x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
static inline void store_wide(double* p, Wide x) { __builtin_memcpy(p, &x, sizeof x); }
static inline Wide fma(Wide a, Wide b, Wide c) {
#if GENFAST_ISA_LEVEL == 4
  return (Wide)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif GENFAST_ISA_LEVEL == 3
  return (Wide)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}
static inline Wide sqrt(Wide x) {
#if GENFAST_ISA_LEVEL == 4
  return (Wide)_mm512_sqrt_pd((__m512d)x);
#elif GENFAST_ISA_LEVEL == 3
  return (Wide)_mm256_sqrt_pd((__m256d)x);
#else
  Wide y;
  for (int i = 0; i < kWideLanes; ++i) y[i] = __builtin_sqrt(x[i]);
  return y;
#endif
}
static inline Wide max(Wide a, Wide b) { return a > b ? a : b; }
static inline Wide min(Wide a, Wide b) { return a < b ? a : b; }
static inline WideBits less(Wide a, Wide b) { return a < b; }
static inline Wide select(WideBits m, Wide if_set, Wide if_clear) { return m ? if_set : if_clear; }

// 1.5 * 2^52: added, it leaves no bits for a fraction, and the number in the lowest ones.
inline constexpr double kNoFraction = 0x1.8p52;

static inline Wide round(Wide x) { return (x + kNoFraction) - kNoFraction; }

// 2^n, n an integer in [-1022, 1023].
static inline Wide power_of_two(Wide n) {
  return (Wide)((WideBits)(n + (kNoFraction + 1023.0)) << 52);
}

// c[0] + c[1] x + ... of `terms` terms.
template <int terms>
static inline Wide polynomial(Wide x, const double (&c)[terms]) {
  Wide y = wide(c[terms - 1]);
#pragma GCC unroll 16
  for (int i = terms - 2; i >= 0; --i) y = fma(y, x, wide(c[i]));
  return y;
}

// e^x = 2^n (1 + part), |x| below 700.
struct WideGrowth {
  Wide part, n;
};

static inline WideGrowth reduce(Wide x) {
  static constexpr double kTaylor[] = {1.0 / 2,        1.0 / 6,         1.0 / 24,
                                       1.0 / 120,      1.0 / 720,       1.0 / 5040,
                                       1.0 / 40320,    1.0 / 362880,    1.0 / 3628800,
                                       1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
  const Wide n = round(x * 1.44269504088896340736);
  Wide r = fma(n, wide(-6.93147180369123816490e-01), x);  // 32 bits of ln 2: n times it is exact
  r = fma(n, wide(-1.90821492927058770002e-10), r);
  return {fma(r * r, polynomial(r, kTaylor), r), n};
}

// log x of normal x > 0 by log(1 + f) = 2 atanh(s), s = f / (2 + f).
static inline Wide log(Wide x) {
  static constexpr double kAtanh[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                      2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
  const WideBits bits = (WideBits)x;
  // 2^52 with the exponent in its lowest bits.
  Wide n = (Wide)((bits >> 52) | 0x4330000000000000) - (0x1p52 + 1023.0);
  Wide m = (Wide)((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  const WideBits upper = m > 1.4142135623730951;
  m = upper ? m * 0.5 : m;
  n = upper ? n + 1.0 : n;
  const Wide f = m - 1.0;
  const Wide s = f / (f + 2.0);
  const Wide z = s * s;
  const Wide half_square = 0.5 * f * f;
  const Wide rest = fma(s, half_square + z * polynomial(z, kAtanh), n * 1.90821492927058770002e-10);
  return fma(n, wide(6.93147180369123816490e-01), f - (half_square - rest));
}

struct WideTurn {
  Wide cosine, sine;
};

// cos and sin of 2 pi v, 0 <= v < 1.
static inline WideTurn turn(Wide v) {
  static constexpr double kSine[] = {
      -1.0 / 6,
      1.0 / 120,
      -1.0 / 5040,
      1.0 / 362880,
      -1.0 / 39916800,
      1.0 / 6227020800.0,
      -1.0 / 1307674368000.0,
      1.0 / 355687428096000.0};
  static constexpr double kCosine[] = {
      1.0 / 24,         -1.0 / 720,          1.0 / 40320,           -1.0 / 3628800,
      1.0 / 479001600., -1.0 / 87178291200., 1.0 / 20922789888000.0};
  const Wide quarter = round(v * 4.0);
  const Wide angle = (v * 4.0 - quarter) * 1.57079632679489661923;
  const Wide y = angle * angle;
  const Wide sine = fma(angle * y, polynomial(y, kSine), angle);
  const Wide cosine = fma(y * y, polynomial(y, kCosine), 1.0 - 0.5 * y);
  const WideBits odd = (quarter == 1.0) | (quarter == 3.0);
  const WideBits left = (quarter == 1.0) | (quarter == 2.0);
  const WideBits below = (quarter == 2.0) | (quarter == 3.0);
  const Wide c = odd ? sine : cosine;
  const Wide s = odd ? cosine : sine;
  return {left ? -c : c, below ? -s : s};
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
