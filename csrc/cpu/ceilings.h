// Ceilings of the machine: what benchmarks hold kernels against, measured in the same run.
#pragma once

#include "cpu/vec.h"

namespace genfast::cpu::GENFAST_ISA_NAMESPACE {

// Twelve independent chains: latency of two to four cycles at two multiply-adds a cycle needs
// eight.
static int64_t multiply_adds(int64_t rounds, float* sink) {
  constexpr int kChains = 12;
  Vec acc[kChains];
  const Vec x = broadcast(0.999f);
  const Vec y = broadcast(0.001f);
  for (int i = 0; i < kChains; ++i) acc[i] = broadcast(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) acc[i] = fma(acc[i], x, y);
  Vec sum = acc[0];
  for (int i = 1; i < kChains; ++i) sum = sum + acc[i];
  float lanes[kLanes];
  store(lanes, sum);
  *sink = lanes[0];
  return rounds * kChains * kLanes;
}

static float read_floats(const float* data, int64_t floats) {
  constexpr int kStreams = 8;
  Vec acc[kStreams] = {};
  const int64_t block = kStreams * kLanes;
  for (int64_t i = 0; i + block <= floats; i += block)
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) acc[s] = acc[s] + load(data + i + s * kLanes);
  Vec sum = acc[0];
  for (int s = 1; s < kStreams; ++s) sum = sum + acc[s];
  float lanes[kLanes];
  store(lanes, sum);
  float total = 0.0f;
  for (int i = 0; i < kLanes; ++i) total += lanes[i];
  return total;
}

// c = a + b: two streams read, one written.
static void add_floats(const float* a, const float* b, float* c, int64_t floats) {
  for (int64_t i = 0; i + kLanes <= floats; i += kLanes) store(c + i, load(a + i) + load(b + i));
}

}  // namespace genfast::cpu::GENFAST_ISA_NAMESPACE
