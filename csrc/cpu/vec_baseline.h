// Four floats in the compiler's own vector type: SSE2 on x86, NEON on Arm. See vec.h for what the
// operations promise.
#pragma once

#include <stdint.h>

#define GENFAST_LANES 4

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));

static inline Vec load(const float* p) {
  Vec x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
static inline void store(float* p, Vec x) { __builtin_memcpy(p, &x, sizeof x); }
static inline Vec broadcast(float x) { return Vec{x, x, x, x}; }
static inline Vec select(Mask m, Vec if_set, Vec if_clear) { return m ? if_set : if_clear; }
#if defined(__aarch64__)
static inline Vec fma(Vec a, Vec b, Vec c) {
  Vec y;
  for (int i = 0; i < 4; ++i) y[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return y;
}
#else
// SSE2 has no fused multiply-add: multiply, then add, everywhere on this instruction set.
static inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
#endif
static inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
static inline Vec min(Vec a, Vec b) { return a < b ? a : b; }
static inline Vec round(Vec x) {
  // Adding 1.5 * 2^23 leaves no bits for a fraction; exact for |x| < 2^22, all that reduction
  // needs.
  const Vec shift = broadcast(12582912.0f);
  return (x + shift) - shift;
}
static inline Vec bits_and(Vec a, Vec b) { return (Vec)((Mask)a & (Mask)b); }
static inline Vec bits_or(Vec a, Vec b) { return (Vec)((Mask)a | (Mask)b); }
static inline Vec bits_andnot(Vec a, Vec b) { return (Vec)(~(Mask)a & (Mask)b); }
static inline Vec scale_by_power_of_two(Vec x, Vec n) {
  const Mask exponent = __builtin_convertvector(n, Mask) + 127;
  return x * (Vec)(exponent << 23);
}
static inline Mask less(Vec a, Vec b) { return a < b; }
static inline Mask not_greater(Vec a, Vec b) { return ~(a > b); }
static inline Mask is_nan(Vec x) { return x != x; }
static inline bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
static inline int count(Mask m) { return -(m[0] + m[1] + m[2] + m[3]); }
static inline Mask mask_and(Mask a, Mask b) { return a & b; }
static inline Mask first_lanes(int n) { return Mask{0, 1, 2, 3} < Mask{n, n, n, n}; }
static inline float max_lane(Vec x) {
  const float a = x[0] > x[1] ? x[0] : x[1];
  const float b = x[2] > x[3] ? x[2] : x[3];
  return a > b ? a : b;
}
static inline Vec sqrt(Vec x) {
  Vec y;
  for (int i = 0; i < 4; ++i) y[i] = __builtin_sqrtf(x[i]);
  return y;
}
static inline Mask sign_set(Vec x) { return (Mask)x < 0; }
static constexpr unsigned kPairOrder[4] = {0, 1, 2, 3};
static inline void interleave(Vec a, Vec b, Vec* low, Vec* high) {
  *low = Vec{a[0], b[0], a[1], b[1]};
  *high = Vec{a[2], b[2], a[3], b[3]};
}
static inline void split_exponent(Vec x, Vec* mantissa, Vec* exponent) {
  const Mask bits = (Mask)x;
  *exponent = __builtin_convertvector((bits >> 23) - 127, Vec);
  *mantissa = (Vec)((bits & 0x007fffff) | 0x3f800000);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
