// What a draw on a GPU is given: a plan, weights, memory, and the arrays of the caller.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/host_device.h"
#include "cuda/plan/plan.h"

namespace genfast::cuda {

// Of a chunk of C sites, of which `count` from `first` on are drawn. Of a site there are u
// uniforms, v values, d draws and p parameters of each draw. All pointers are to memory of the
// device.
struct Launch {
  PlanHeader plan{};
  const StepPlan* steps = nullptr;
  const TermPlan* terms = nullptr;
  const BufferPlan* buffers = nullptr;
  int64_t machines = 1;
  int64_t batch = 0;
  int64_t position = 0;  // of the first site, in the order
  int64_t first = 0;
  int64_t count = 0;
  int64_t columns = 0;                    // C
  const float* uniforms = nullptr;        // [N, C, u]
  int64_t* values = nullptr;              // [N, C, v]
  const int64_t* forced = nullptr;        // [N, C, v], -1: draw; or null
  float* scores = nullptr;                // [N, C, d, p], or null
  float* log_probs = nullptr;             // [N, C, d], or null
  const float* temperature = nullptr;     // [N]
  const int64_t* top_k = nullptr;         // [N], 0: off
  const float* top_p = nullptr;           // [N], 1: off
  const void* const* given = nullptr;     // float32 [N, width] or [N, C, width]; int32 [N]
  const std::byte* images = nullptr;      // [blocks of a machine][image_bytes]
  uint32_t* saved = nullptr;              // by buffer: [ring][N][width]; null where nothing is
  uint32_t* own = nullptr;                // [machines * blocks][block_words]
  uint32_t* common = nullptr;             // [machines][machine_words]
  unsigned long long* failure = nullptr;  // the least `failure_of`, or kNoFailure
  unsigned* arrivals = nullptr;           // of a grid: blocks that came to its barrier
};

// Why scores cannot be drawn from, or that a forced value is none of a symbol's; the least by site,
// then by row, is the one that is reported.
enum class Wrong : unsigned { kNotANumber = 1, kInfinite, kNothingLeft, kNotFinite, kForced };

inline constexpr unsigned long long kNoFailure = ~0ull;

GENFAST_HOST_DEVICE constexpr unsigned long long failure_of(
    int64_t site,
    int64_t row,
    Wrong wrong) {
  return static_cast<unsigned long long>(site) << 34 | static_cast<unsigned long long>(row) << 3 |
         static_cast<unsigned long long>(wrong);
}

}  // namespace genfast::cuda
