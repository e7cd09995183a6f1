// `Words`, as many 32-bit words as there are lanes, and Threefry2x32-20 of them, as in
// core/threefry.h.
#pragma once

#include "cpu/vec.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

typedef uint32_t Words __attribute__((vector_size(4 * GENFAST_LANES)));
typedef int32_t SignedWords __attribute__((vector_size(4 * GENFAST_LANES)));
typedef float Floats __attribute__((vector_size(4 * GENFAST_LANES)));

static inline Words words_of(Vec x) { return (Words)x; }
static inline Vec floats_of(Words bits) { return (Vec)bits; }

// The numbers themselves, exactly below 2^24.
static inline Vec signed_value(Words x) {
  return (Vec) __builtin_convertvector((SignedWords)x, Floats);
}

static inline Words load_words(const unsigned* p) {
  Words x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

template <int bits>
static inline Words rotate(Words x) {
#if GENFAST_ISA_LEVEL == 4
  return (Words)_mm512_rol_epi32((__m512i)x, bits);
#else
  return (x << bits) | (x >> (32 - bits));
#endif
}

// Counters of as many blocks as there are lanes: the sample's index and the block. Then their
// words.
struct Blocks {
  Words first;
  Words second;
};

// What is added to the words before the rounds, and after every four of them. As whole vectors,
// because it takes as long to make one of a number as to use it.
struct Key {
  Words first[6], second[6];

  explicit Key(uint64_t seed) {
    const auto low = static_cast<uint32_t>(seed);
    const auto high = static_cast<uint32_t>(seed >> 32);
    const uint32_t words[3] = {low, high, 0x1BD11BDAu ^ low ^ high};
    for (uint32_t i = 0; i < 6; ++i) {
      first[i] = Words{} + words[i % 3];
      second[i] = Words{} + (words[(i + 1) % 3] + i);
    }
  }
};

template <int bits, int count>
static inline void mix(Blocks* x) {
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) x[i].first += x[i].second;
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) x[i].second = rotate<bits>(x[i].second) ^ x[i].first;
}

template <int count>
static inline void add_key(const Key& key, int number, Blocks* x) {
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) {
    x[i].first += key.first[number];
    x[i].second += key.second[number];
  }
}

// Four of the twenty rounds, then the key's words added for the next four.
template <int a, int b, int c, int d, int count>
static inline void four_rounds(const Key& key, int number, Blocks* x) {
  mix<a, count>(x);
  mix<b, count>(x);
  mix<c, count>(x);
  mix<d, count>(x);
  add_key<count>(key, number, x);
}

// Counters become words. Rounds wait for each other, so several blocks take turns: in 8 lanes four
// take little more than half the time of four alone.
template <int count>
static inline void threefry(const Key& key, Blocks* x) {
  add_key<count>(key, 0, x);
  four_rounds<13, 15, 26, 6, count>(key, 1, x);
  four_rounds<17, 29, 16, 24, count>(key, 2, x);
  four_rounds<13, 15, 26, 6, count>(key, 3, x);
  four_rounds<17, 29, 16, 24, count>(key, 4, x);
  four_rounds<13, 15, 26, 6, count>(key, 5, x);
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
