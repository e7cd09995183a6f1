// Normals in pairs, from the words of a sample's blocks: Box and Muller, "A Note on the Generation
// of Random Normal Deviates" (1958).
//
//   r = sqrt(-2 log(1 - m u))     r cos(2 pi v), r sin(2 pi v)
//
// of uniforms u and v and a share m of the plane, 1 but for truncated normals. float32: u and v are
// the two words of a block, 24 bits of each. float64: of two blocks, 53 bits of both words of each.
//
// A normal is a sum hi + lo that is exact to some 2^-25 r: rounded, it would take a whole unit of
// the error that reparameterize may have.
#pragma once

#include "cpu/vector_math.h"
#include "cpu/wide.h"
#include "cpu/words.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// What rows are computed in: their vectors, and how many values these have.
struct Single {
  using Scalar = float;
  using Vector = Vec;
  static constexpr int kWidth = kLanes;
  static inline Vec splat(double x) { return broadcast(static_cast<float>(x)); }
};

struct Double {
  using Scalar = double;
  using Vector = Wide;
  static constexpr int kWidth = kWideLanes;
  static inline Wide splat(double x) { return wide(x); }
};

template <class Math>
struct Split {
  typename Math::Vector hi, lo;
};

static inline Split<Single> minus_twice_log(Vec x) {
  const Logarithm l = take_log(x);
  const Vec far = l.n * broadcast(kLn2High);
  const Vec near = l.f + l.rest;
  const Vec sum = far + near;
  const Vec lost = ((far - sum) + near) + ((l.f - near) + l.rest);
  return {broadcast(-2.0f) * sum, broadcast(-2.0f) * lost};
}

// Newton's correction of the rounded root. A tenth of it would do, so half the inverse of the root
// comes from its bits, 5% off at most.
static inline Split<Single> split_sqrt(Split<Single> t) {
  const Vec root = sqrt(t.hi);
  const Vec half_inverse = floats_of(Words{} + 0x7e731000u - words_of(root));
  return {root, (fma(-root, root, t.hi) + t.lo) * half_inverse};
}

static inline Split<Single> radius(Words word) {
  const Vec x = signed_value(Words{} + 0x1000000u - (word >> 8)) * broadcast(0x1p-24f);
  return split_sqrt(minus_twice_log(x));
}

// 1 - m u is x + lost: near 0 the rounding of x would be a large share of the logarithm.
static inline Split<Single> radius(Words word, float mass) {
  const Vec u = signed_value(word >> 8) * broadcast(0x1p-24f);
  const Vec m = broadcast(mass);
  const Vec product = m * u;
  const Vec x = broadcast(1.0f) - product;
  const Vec lost = ((broadcast(1.0f) - x) - product) - fma(m, u, -product);
  const Split<Single> t = minus_twice_log(x);
  const Vec more = broadcast(-2.0f) * (lost / x);
  const Vec sum = t.hi + more;
  return split_sqrt({sum, ((t.hi - sum) + more) + t.lo});
}

struct Turn {
  Vec cosine, sine;
};

// cos and sin of 2 pi v: v is f quarter turns, |f| <= 1/2, from the nearest of four axes, exactly.
static inline Turn turn(Words word) {
  const Words at = (word >> 8) + 0x200000u;  // the number of the axis from bit 22 on
  const Vec f = signed_value((at & 0x3fffffu) - 0x200000u) * broadcast(0x1p-22f);
  const Vec y = f * f;
  Vec c = broadcast(9.04021651e-04f);
  c = fma(c, y, broadcast(-2.08602885e-02f));
  c = fma(c, y, broadcast(2.53669244e-01f));
  c = fma(c, y, broadcast(-1.23370054e+00f));
  const Vec cosine = fma(c, y, broadcast(1.0f));
  Vec s = broadcast(-4.60483e-03f);
  s = fma(s, y, broadcast(7.968141e-02f));
  s = fma(s, y, broadcast(-6.4596363e-01f));
  s = fma(s, y, broadcast(-4.37113883e-8f));  // of pi / 2, the rest
  const Vec sine = fma(f, broadcast(1.57079637f), f * s);
  const Mask odd = sign_set(floats_of(at << 9));
  const Words top = Words{} + 0x80000000u;
  const Words left = ((at << 8) ^ (at << 9)) & top;
  const Words below = (at << 8) & top;
  return {
      floats_of(words_of(select(odd, sine, cosine)) ^ left),
      floats_of(words_of(select(odd, cosine, sine)) ^ below)};
}

// The normals of the kLanes blocks of sample `index` from `number * kLanes` on: kVectors vectors,
// whose columns follow each other.
struct Step {
  uint32_t index;
  uint32_t number;
};

// Steps at once. What one of them does waits for itself most of the time.
inline constexpr int kBatch = 16;

// `mass` is the share of the plane, or null for all of it.
struct SingleNoise {
  using Math = Single;
  static constexpr int kVectors = 2;

  static inline void draw(
      const Key& key,
      const Step* steps,
      int count,
      const float* mass,
      Split<Single> (*out)[kVectors]) {
    Blocks words[kBatch];
    Split<Single> radii[kBatch];
    const Words order = load_words(kPairOrder);
    for (int i = 0; i < kBatch; ++i)
      words[i] = {Words{} + steps[i].index, order + steps[i].number * kLanes};
    for (int i = 0; i < count; i += 4) threefry<4>(key, words + i);
    if (mass == nullptr)
      for (int i = 0; i < count; ++i) radii[i] = radius(words[i].first);
    else
      for (int i = 0; i < count; ++i) radii[i] = radius(words[i].first, *mass);
    for (int i = 0; i < count; ++i) {
      const Turn t = turn(words[i].second);
      const Split<Single> c = product(radii[i], t.cosine);
      const Split<Single> s = product(radii[i], t.sine);
      interleave(c.hi, s.hi, &out[i][0].hi, &out[i][1].hi);
      interleave(c.lo, s.lo, &out[i][0].lo, &out[i][1].lo);
    }
  }

 private:
  static inline Split<Single> product(Split<Single> r, Vec x) {
    const Vec hi = r.hi * x;
    return {hi, fma(r.lo, x, fma(r.hi, x, -hi))};
  }
};

static inline double uniform(uint32_t word) { return (word >> 8) * 0x1p-24; }
static inline double uniform(uint32_t first, uint32_t second) {
  return first * 0x1p-32 + (second >> 11) * 0x1p-53;
}

// The same in doubles. With `Long` uniforms a pair takes two blocks.
template <bool Long>
struct DoubleNoise {
  using Math = Double;
  static constexpr int kPairs = Long ? kLanes / 2 : kLanes;
  static constexpr int kVectors = 2 * kPairs / kWideLanes;

  static inline void draw(
      const Key& key,
      const Step* steps,
      int count,
      const float* mass,
      Split<Double> (*out)[kVectors]) {
    for (int i = 0; i < count; ++i) draw(key, steps[i], mass, out[i]);
  }

 private:
  static inline void draw(const Key& key, Step step, const float* mass, Split<Double>* out) {
    Blocks words{Words{} + step.index, Words{}};
    for (int i = 0; i < kLanes; ++i)
      words.second[i] = step.number * kLanes + static_cast<uint32_t>(i);
    threefry<1>(key, &words);
    double u[kPairs], v[kPairs], normals[2 * kPairs];
    for (int i = 0; i < kPairs; ++i) {
      const int j = 2 * i % kLanes;
      u[i] = Long ? uniform(words.first[j], words.second[j]) : uniform(words.first[i]);
      v[i] = Long ? uniform(words.first[j + 1], words.second[j + 1]) : uniform(words.second[i]);
    }
    for (int i = 0; i < kPairs; i += kWideLanes)
      pairs(load_wide(u + i), load_wide(v + i), mass, normals + 2 * i);
    for (int i = 0; i < kVectors; ++i) out[i] = {load_wide(normals + i * kWideLanes), Wide{}};
  }

  static inline void pairs(Wide u, Wide v, const float* mass, double* out) {
    const Wide product = mass == nullptr ? u : wide(*mass) * u;
    const Wide x = 1.0 - product;
    const Wide lost = (1.0 - x) - product;
    const Wide r = sqrt(-2.0 * (log(x) + lost / x));
    const WideTurn t = turn(v);
    const Wide c = r * t.cosine;
    const Wide s = r * t.sine;
    for (int i = 0; i < kWideLanes; ++i) {
      out[2 * i] = c[i];
      out[2 * i + 1] = s[i];
    }
  }
};

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
