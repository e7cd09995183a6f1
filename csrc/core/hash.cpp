#include "core/hash.h"

#include <array>
#include <bit>
#include <cstring>

namespace genfast::core {
namespace {

constexpr int kLanes = 8;
constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio, odd

constexpr uint64_t step(uint64_t lane, uint64_t word) {
  return std::rotl((lane ^ word) * kMultiplier, 29);
}

// The finalizer of SplitMix64: every bit of x moves every bit of the result.
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t hash_bytes(const char* bytes, size_t count) {
  std::array<uint64_t, kLanes> lanes;
  for (int i = 0; i < kLanes; ++i) lanes[i] = mix(static_cast<uint64_t>(i) + 1);
  std::array<uint64_t, kLanes> words;
  for (; count >= sizeof words; bytes += sizeof words, count -= sizeof words) {
    std::memcpy(words.data(), bytes, sizeof words);
    for (int i = 0; i < kLanes; ++i) lanes[i] = step(lanes[i], words[i]);
  }
  words.fill(0);
  if (count > 0) std::memcpy(words.data(), bytes, count);
  uint64_t hash = mix(count);
  for (int i = 0; i < kLanes; ++i) hash = step(hash, mix(step(lanes[i], words[i])));
  return hash;
}

}  // namespace

uint64_t weight_hash(const std::vector<Tensor>& tensors) {
  uint64_t hash = mix(tensors.size());
  for (const Tensor& tensor : tensors) {
    hash = step(
        hash, static_cast<uint64_t>(tensor.dtype) * 64 + static_cast<uint64_t>(tensor.item_bytes));
    hash = step(hash, tensor.shape.size());
    for (const int64_t side : tensor.shape) hash = step(hash, static_cast<uint64_t>(side));
    const size_t bytes =
        static_cast<size_t>(tensor.size()) * static_cast<size_t>(tensor.item_bytes);
    hash = step(hash, hash_bytes(static_cast<const char*>(tensor.data), bytes));
  }
  return mix(hash);
}

}  // namespace genfast::core
