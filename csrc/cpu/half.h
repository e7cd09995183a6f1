// Two formats of 16 bits: their vectors are widened when loaded, and rounded to nearest, ties to
// even, when stored.
#pragma once

#include "cpu/words.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

static inline float float_of(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
static inline uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float to_float(BFloat16 x) { return float_of(static_cast<uint32_t>(x.bits) << 16); }
static inline float to_float(Half x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(x.bits & 0x7fff) << 13;
  if (magnitude >= 0x0f800000) return float_of(sign | magnitude | 0x7f800000);  // infinite, or NaN
  return float_of(sign | bits_of(float_of(magnitude) * 0x1p112f));
}

static inline void round_to(float x, BFloat16* to) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to->bits = static_cast<uint16_t>(x != x ? 0x7fc0 : rounded);
}
static inline void round_to(float x, Half* to) {
  const uint32_t sign = (bits_of(x) >> 16) & 0x8000;
  const uint32_t magnitude = bits_of(x) & 0x7fffffff;
  uint32_t rounded = (magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13;
  // Below the normal numbers 0.5 has the last place that the result is to have.
  if (magnitude < 0x38800000) rounded = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;
  if (magnitude >= 0x47800000) rounded = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
  to->bits = static_cast<uint16_t>(sign | rounded);
}

#if GENFAST_ISA_LEVEL == 4
static inline Vec load(const BFloat16* p) {
  return floats_of((Words)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)) << 16);
}
static inline Vec load(const Half* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
}
static inline void store(BFloat16* p, Vec x) {
  const Words bits = words_of(x);
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words found = words_of(select(is_nan(x), floats_of(Words{} + 0x7fc0u), floats_of(rounded)));
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtepi32_epi16((__m512i)found));
}
static inline void store(Half* p, Vec x) {
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#elif GENFAST_ISA_LEVEL == 3
static inline Vec load(const BFloat16* p) {
  return floats_of((Words)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)) << 16);
}
static inline Vec load(const Half* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
}
static inline void store(BFloat16* p, Vec x) {
  const Words bits = words_of(x);
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words found = words_of(select(is_nan(x), floats_of(Words{} + 0x7fc0u), floats_of(rounded)));
  const __m256i packed = _mm256_packus_epi32((__m256i)found, (__m256i)found);  // in each half
  const __m256i joined = _mm256_permute4x64_epi64(packed, 0x08);
  _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(joined));
}
static inline void store(Half* p, Vec x) {
  _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#else
template <typename T>
static inline Vec load(const T* p) {
  return Vec{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])};
}
template <typename T>
static inline void store(T* p, Vec x) {
  for (int i = 0; i < kLanes; ++i) round_to(x[i], p + i);
}
#endif

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
