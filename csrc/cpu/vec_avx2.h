// Eight floats. See vec.h for what the operations promise.
#pragma once

#include <immintrin.h>

#define GENFAST_LANES 8

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

using Vec = __m256;
using Mask = __m256;

static inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
static inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
static inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
static inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
static inline Vec round(Vec x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline Vec bits_and(Vec a, Vec b) { return _mm256_and_ps(a, b); }
static inline Vec bits_or(Vec a, Vec b) { return _mm256_or_ps(a, b); }
static inline Vec bits_andnot(Vec a, Vec b) { return _mm256_andnot_ps(a, b); }
static inline Vec power_of_two(Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
static inline Vec scale_by_power_of_two(Vec x, Vec n) { return _mm256_mul_ps(x, power_of_two(n)); }
static inline Mask less(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline Mask not_greater(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_NGT_UQ); }
static inline Mask is_nan(Vec x) { return _mm256_cmp_ps(x, x, _CMP_UNORD_Q); }
static inline Vec select(Mask m, Vec if_set, Vec if_clear) {
  return _mm256_blendv_ps(if_clear, if_set, m);
}
static inline bool any(Mask m) { return _mm256_movemask_ps(m) != 0; }
static inline int count(Mask m) {
  return __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(m)));
}
static inline Mask mask_and(Mask a, Mask b) { return _mm256_and_ps(a, b); }
static inline Mask first_lanes(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
}
static inline float max_lane(Vec x) {
  float lanes[8];
  store(lanes, x);
  float most = lanes[0];
  for (int i = 1; i < 8; ++i) most = lanes[i] > most ? lanes[i] : most;
  return most;
}
static inline Vec sqrt(Vec x) { return _mm256_sqrt_ps(x); }
static inline Mask sign_set(Vec x) { return x; }
static constexpr unsigned kPairOrder[8] = {0, 1, 4, 5, 2, 3, 6, 7};
static inline void interleave(Vec a, Vec b, Vec* low, Vec* high) {
  *low = _mm256_unpacklo_ps(a, b);
  *high = _mm256_unpackhi_ps(a, b);
}
static inline void split_exponent(Vec x, Vec* mantissa, Vec* exponent) {
  const __m256i bits = _mm256_castps_si256(x);
  *exponent =
      _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(bits, 23), _mm256_set1_epi32(127)));
  const __m256i fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007fffff));
  *mantissa = _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f800000)));
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
