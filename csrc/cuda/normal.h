// Normals in pairs, from the two words of a block: those of cpu/normal.h, operation for operation.
//
// Whoever includes this is compiled with multiply-adds fused where the source says so and nowhere
// else (-fmad=false of nvcc, -ffp-contract=off of GCC): then a GPU, this header on a host, and the
// instruction sets of the CPU core that fuse them give the same bits.
#pragma once

#include <math.h>
#include <string.h>

#include <cstdint>

#include "core/host_device.h"
#include "core/threefry.h"

namespace genfast::cuda {

// A number as a sum: a rounded normal would take a whole unit of the error of what it is used for.
struct Split {
  float hi;
  float lo;
};

// Columns 2 b and 2 b + 1 of block b.
struct SplitPair {
  Split cosine;
  Split sine;
};

GENFAST_HOST_DEVICE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
GENFAST_HOST_DEVICE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline constexpr uint32_t kRootHalf = 0x3f3504f4u;  // the bits of the first float above sqrt(1/2)

// -2 log(x / 2^24), x in 1 .. 2^24: its logarithm is n ln 2 + log(1 + f), sqrt(1/2) < 1 + f and
// (1 + f)^2 < 2, to the last place.
GENFAST_HOST_DEVICE Split minus_twice_log(float x) {
  const uint32_t past = bits_of(x) - (kRootHalf + (24u << 23));
  const float n = static_cast<float>(static_cast<int32_t>(past) >> 23);
  const float f = float_of((past & 0x007fffffu) + kRootHalf) - 1.0f;
  const float square = f * f;
  const float s01 = fmaf(-2.500000960e-01f, f, 3.333331260e-01f);
  const float s23 = fmaf(-1.666799617e-01f, f, 2.000211883e-01f);
  const float s45 = fmaf(-1.240558044e-01f, f, 1.421954885e-01f);
  const float s67 = fmaf(-1.167571616e-01f, f, 1.188818160e-01f);
  const float fourth = square * square;
  const float low = fmaf(s23, square, s01);
  const float high = fmaf(6.746676002e-02f, fourth, fmaf(s67, square, s45));
  const float s = fmaf(high, fourth, low);
  const float y = fmaf(square * f, s, n * -2.12194440e-4f);
  const float rest = fmaf(-0.5f, square, y);
  const float far = n * 0.693359375f;  // ten bits of ln 2: exact
  const float near = f + rest;
  const float sum = far + near;
  const float lost = ((far - sum) + near) + ((f - near) + rest);
  return {fmaf(-2.0f, sum, 0.0f), -2.0f * lost};  // 0 rather than -0: see rounded_root
}

// The root of x, 0 or a few times 2^-24 to 34, rounded to nearest. On a GPU without the branch for
// the rest of the numbers that sqrtf has: Newton's step makes the approximation exact.
GENFAST_HOST_DEVICE float rounded_root(float x) {
#if defined(__CUDA_ARCH__)
  float inverse;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(inverse) : "f"(x));
  inverse = fminf(inverse, 0x1p63f);  // of 0: finite, so that the root is 0
  const float root = x * inverse;
  return fmaf(fmaf(-root, root, x), 0.5f * inverse, root);
#else
  return sqrtf(x);
#endif
}

// Newton's correction of the rounded root; half its inverse comes from its bits, 5% off at most.
GENFAST_HOST_DEVICE Split split_sqrt(Split t) {
  const float root = rounded_root(t.hi);
  const float half_inverse = float_of(0x7e731000u - bits_of(root));
  return {root, (fmaf(-root, root, t.hi) + t.lo) * half_inverse};
}

// sqrt(-2 log(1 - u)), u the upper 24 bits of a word.
GENFAST_HOST_DEVICE Split radius(uint32_t word) {
  return split_sqrt(
      minus_twice_log(static_cast<float>(static_cast<int32_t>(0x1000000u - (word >> 8)))));
}

struct Turn {
  float cosine;
  float sine;
};

// cos and sin of 2 pi v, v the upper 24 bits of a word: v is f quarter turns, |f| <= 1/2, from the
// nearest of four axes, exactly.
GENFAST_HOST_DEVICE Turn turn(uint32_t word) {
  const uint32_t axis = word + 0x20000000u;  // its number in the upper two bits
  const float f = static_cast<float>(static_cast<int32_t>((word << 2) & 0xfffffc00u)) * 0x1p-32f;
  const float y = f * f;
  float c = 9.04021651e-04f;
  c = fmaf(c, y, -2.08602885e-02f);
  c = fmaf(c, y, 2.53669244e-01f);
  c = fmaf(c, y, -1.23370054e+00f);
  const float cosine = fmaf(c, y, 1.0f);
  float s = -4.60483e-03f;
  s = fmaf(s, y, 7.968141e-02f);
  s = fmaf(s, y, -6.4596363e-01f);
  s = fmaf(s, y, -4.37113883e-8f);  // of pi / 2, the rest
  const float sine = fmaf(f, 1.57079637f, f * s);
  const bool odd = (axis & 0x40000000u) != 0;
  const uint32_t left = (axis ^ (axis << 1)) & 0x80000000u;
  const uint32_t below = axis & 0x80000000u;
  return {
      float_of(bits_of(odd ? sine : cosine) ^ left),
      float_of(bits_of(odd ? cosine : sine) ^ below)};
}

GENFAST_HOST_DEVICE Split product(Split r, float x) {
  const float hi = r.hi * x;
  return {hi, fmaf(r.lo, x, fmaf(r.hi, x, -hi))};
}

GENFAST_HOST_DEVICE SplitPair normal_pair(core::Words words) {
  const Split r = radius(words.first);
  const Turn t = turn(words.second);
  return {product(r, t.cosine), product(r, t.sine)};
}

}  // namespace genfast::cuda
