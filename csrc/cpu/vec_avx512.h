// Sixteen floats. See vec.h for what the operations promise.
#pragma once

#include <immintrin.h>

#define GENFAST_LANES 16

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

using Vec = __m512;
using Mask = __mmask16;

static inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
static inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
static inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
static inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
static inline Vec round(Vec x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline Vec bits_and(Vec a, Vec b) { return _mm512_and_ps(a, b); }
static inline Vec bits_or(Vec a, Vec b) { return _mm512_or_ps(a, b); }
static inline Vec bits_andnot(Vec a, Vec b) { return _mm512_andnot_ps(a, b); }
static inline Vec scale_by_power_of_two(Vec x, Vec n) { return _mm512_scalef_ps(x, n); }
static inline Mask less(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline Mask not_greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NGT_UQ); }
static inline Mask is_nan(Vec x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }
static inline Vec select(Mask m, Vec if_set, Vec if_clear) {
  return _mm512_mask_blend_ps(m, if_clear, if_set);
}
static inline bool any(Mask m) { return m != 0; }
static inline int count(Mask m) { return __builtin_popcount(m); }
static inline Mask mask_and(Mask a, Mask b) { return static_cast<Mask>(a & b); }
static inline Mask first_lanes(int n) {
  return static_cast<Mask>(n >= 16 ? 0xffff : (1u << n) - 1);
}
static inline float max_lane(Vec x) { return _mm512_reduce_max_ps(x); }
static inline Vec sqrt(Vec x) { return _mm512_sqrt_ps(x); }
static inline Mask sign_set(Vec x) { return _mm512_movepi32_mask(_mm512_castps_si512(x)); }
static constexpr unsigned kPairOrder[16] = {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15};
static inline void interleave(Vec a, Vec b, Vec* low, Vec* high) {
  *low = _mm512_unpacklo_ps(a, b);
  *high = _mm512_unpackhi_ps(a, b);
}
static inline void split_exponent(Vec x, Vec* mantissa, Vec* exponent) {
  *mantissa = _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
  *exponent = _mm512_getexp_ps(x);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
