#include "cpu/measure.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/memory.h"
#include "core/thread_pool.h"
#include "cpu/dispatch.h"

namespace genfast::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// Work done a second while every thread repeats `once`, which returns how much it did. The best of
// eight spans: a ceiling is what the machine can do, and noise only lowers it.
template <typename Once>
double rate(int threads, double seconds, const Once& once) {
  double best = 0.0;
  for (int span = 0; span < 8; ++span) {
    std::vector<double> done(static_cast<size_t>(threads) * 8, 0.0);  // a cache line each
    const auto begun = Clock::now();
    const auto end = begun + std::chrono::duration<double>(seconds / 8);
    core::ThreadPool::instance().run(threads, [&](int thread) {
      while (Clock::now() < end) done[static_cast<size_t>(thread) * 8] += once(thread);
    });
    const double elapsed = std::chrono::duration<double>(Clock::now() - begun).count();
    double total = 0.0;
    for (const double part : done) total += part;
    best = std::max(best, total / elapsed);
  }
  return best;
}

}  // namespace

double fma_peak(const std::string& isa, int threads, double seconds) {
  const Kernels& kernels = kernels_for(isa);
  return rate(threads, seconds, [&](int) {
    float sink;
    return static_cast<double>(kernels.multiply_adds(4096, &sink));
  });
}

double read_bandwidth(int64_t bytes, int threads, double seconds) {
  const Kernels& kernels = kernels_for("");
  const int64_t floats = bytes / static_cast<int64_t>(sizeof(float));
  std::vector<core::Aligned<float>> data;
  for (int thread = 0; thread < threads; ++thread) data.emplace_back(static_cast<size_t>(floats));
  return rate(threads, seconds, [&](int thread) {
    const volatile float sum = kernels.read(data[static_cast<size_t>(thread)].data(), floats);
    return static_cast<double>(bytes) + 0.0 * sum;
  });
}

double add_bandwidth(int64_t bytes, int threads, double seconds) {
  const Kernels& kernels = kernels_for("");
  const int64_t floats = bytes / static_cast<int64_t>(3 * sizeof(float));
  std::vector<core::Aligned<float>> data;
  for (int i = 0; i < 3 * threads; ++i) data.emplace_back(static_cast<size_t>(floats));
  return rate(threads, seconds, [&](int thread) {
    const auto own = data.begin() + 3 * thread;
    kernels.add(own[0].data(), own[1].data(), own[2].data(), floats);
    return static_cast<double>(3 * sizeof(float)) * static_cast<double>(floats);
  });
}

}  // namespace genfast::cpu
