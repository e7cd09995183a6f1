// How an operator computes, and the work of its threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

#include "core/thread_pool.h"

namespace genfast::ops {

// Threads of the pool, and the instruction set ("": the default).
struct Engine {
  int threads = 1;
  std::string isa;
};

// Calls each(thread, i) for i < count; whichever thread is free takes the next.
template <typename Each>
void share(int threads, int64_t count, const Each& each) {
  std::atomic<int64_t> next{0};
  const int used = static_cast<int>(std::min<int64_t>(std::max(threads, 1), count));
  core::ThreadPool::instance().run(used, [&](int thread) {
    for (int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) each(thread, i);
  });
}

}  // namespace genfast::ops
