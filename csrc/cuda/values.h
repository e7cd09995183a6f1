// Numbers of 16 bits, and 16 bytes of numbers at once.
//
// Halves are widened when loaded, and rounded to nearest, ties to even, when stored: by the
// instructions of a GPU or, on a host, by their bits.
#pragma once

#include "cuda/normal.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace genfast::cuda {

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

GENFAST_HOST_DEVICE float to_float(float x) { return x; }

GENFAST_HOST_DEVICE float to_float(BFloat16 x) {
  return float_of(static_cast<uint32_t>(x.bits) << 16);
}

GENFAST_HOST_DEVICE float to_float(Half x) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(x.bits));
#else
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(x.bits & 0x7fff) << 13;
  if (magnitude >= 0x0f800000) return float_of(sign | magnitude | 0x7f800000);  // infinite, or NaN
  return float_of(sign | bits_of(float_of(magnitude) * 0x1p112f));
#endif
}

GENFAST_HOST_DEVICE void round_to(float x, float* to) { *to = x; }

GENFAST_HOST_DEVICE void round_to(float x, BFloat16* to) {
#if defined(__CUDA_ARCH__)
  to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  to->bits = static_cast<uint16_t>(x != x ? 0x7fc0 : rounded);
#endif
}

GENFAST_HOST_DEVICE void round_to(float x, Half* to) {
#if defined(__CUDA_ARCH__)
  to->bits = __half_as_ushort(__float2half_rn(x));
#else
  const uint32_t sign = (bits_of(x) >> 16) & 0x8000;
  const uint32_t magnitude = bits_of(x) & 0x7fffffff;
  uint32_t rounded = (magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13;
  // Below the normal numbers 0.5 has the last place that the result is to have.
  if (magnitude < 0x38800000) rounded = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;
  if (magnitude >= 0x47800000) rounded = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
  to->bits = static_cast<uint16_t>(sign | rounded);
#endif
}

// Values that a thread takes at once.
template <typename T>
inline constexpr int kWidth = 16 / sizeof(T);

struct alignas(16) Sixteen {
  uint32_t words[4];
};

// kWidth values of which `left` exist, zeros behind them. Whole: all exist, and `from` is aligned.
template <bool whole, typename T>
GENFAST_HOST_DEVICE void load_values(const T* from, int32_t left, float (&to)[kWidth<T>]) {
  T values[kWidth<T>] = {};
  if constexpr (whole) {
    const Sixteen all = *reinterpret_cast<const Sixteen*>(from);
    memcpy(values, &all, sizeof values);
  } else {
    for (int i = 0; i < kWidth<T>; ++i)
      if (i < left) values[i] = from[i];
  }
  for (int i = 0; i < kWidth<T>; ++i) to[i] = to_float(values[i]);
}

template <bool whole, typename T>
GENFAST_HOST_DEVICE void store_values(T* to, int32_t left, const float (&from)[kWidth<T>]) {
  T values[kWidth<T>];
  for (int i = 0; i < kWidth<T>; ++i) round_to(from[i], values + i);
  if constexpr (whole) {
    Sixteen all;
    memcpy(&all, values, sizeof all);
    *reinterpret_cast<Sixteen*>(to) = all;
  } else {
    for (int i = 0; i < kWidth<T>; ++i)
      if (i < left) to[i] = values[i];
  }
}

}  // namespace genfast::cuda
