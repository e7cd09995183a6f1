#pragma once

#include <cstdint>

#include "core/host_device.h"

// Threefry2x32-20: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3"
// (2011).
namespace genfast::core {

struct Words {
  std::uint32_t first;
  std::uint32_t second;
};

// Four of the twenty rounds, then the key's words added for the next four.
GENFAST_HOST_DEVICE constexpr Words threefry_rounds(
    Words x,
    int a,
    int b,
    int c,
    int d,
    std::uint32_t key_first,
    std::uint32_t key_second) {
  const int rotations[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) {
    x.first += x.second;
    x.second = (x.second << rotations[i]) | (x.second >> (32 - rotations[i]));
    x.second ^= x.first;
  }
  return {x.first + key_first, x.second + key_second};
}

// The two words of counter (c0, c1) under key (k0, k1).
GENFAST_HOST_DEVICE constexpr Words threefry2x32(
    std::uint32_t k0,
    std::uint32_t k1,
    std::uint32_t c0,
    std::uint32_t c1) {
  const std::uint32_t k2 = 0x1BD11BDAu ^ k0 ^ k1;
  Words x{c0 + k0, c1 + k1};
  x = threefry_rounds(x, 13, 15, 26, 6, k1, k2 + 1);
  x = threefry_rounds(x, 17, 29, 16, 24, k2, k0 + 2);
  x = threefry_rounds(x, 13, 15, 26, 6, k0, k1 + 3);
  x = threefry_rounds(x, 17, 29, 16, 24, k1, k2 + 4);
  return threefry_rounds(x, 13, 15, 26, 6, k2, k0 + 5);
}

// A float32 in [0, 1): the word's upper 24 bits, exactly.
GENFAST_HOST_DEVICE constexpr float uniform(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

// Draw `draw` of sample `index`: one half of the block draw / 2.
GENFAST_HOST_DEVICE constexpr float uniform(
    std::uint64_t seed,
    std::uint32_t index,
    std::uint64_t draw) {
  const Words words = threefry2x32(
      static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32), index,
      static_cast<std::uint32_t>(draw >> 1));
  return uniform((draw & 1) != 0 ? words.second : words.first);
}

}  // namespace genfast::core
