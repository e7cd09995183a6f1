// A pool of threads of the core's own: one job at a time, callers queue.
//
// Workers spin a bounded time after a job, then sleep. A forked child starts with a pool of no
// workers. Every thread of a job, the caller too, computes in the default floating-point mode
// (round to nearest, denormals kept) whatever the caller had set, so that a sample does not depend
// on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace genfast::core {

// Threads of one job meet here, several times a site. Each counts its arrivals in a cache line of
// its own, which the others read: one transfer between cores, where a shared counter costs two or
// three. They spin, and yield after a while in case a core is shared.
class Barrier {
 public:
  explicit Barrier(int threads) : arrivals_(static_cast<size_t>(threads)) {}
  void wait(int thread);

  // Waits that outlasted their spin: the thread waited for was not running.
  int stalls() const { return stalls_.load(std::memory_order_relaxed); }

 private:
  struct alignas(64) Arrivals {
    std::atomic<uint64_t> count{0};
  };

  std::vector<Arrivals> arrivals_;
  std::atomic<int> stalls_{0};
};

// For a moment of a wait: a pause, or the rest of the time slice to whoever else wants the core.
void relax(bool yield);

// Where a thread runs.
struct Place {
  int processor = -1;
  int thread = 0;
};

class ThreadPool {
 public:
  // The process's pool.
  static ThreadPool& instance();

  // Runs job(0) here and job(1) .. job(threads - 1) on workers; returns when all have ended. The
  // first exception, by thread number, is rethrown then.
  void run(int threads, const std::function<void(int)>& job);

  ~ThreadPool();

 private:
  struct Job {
    const std::function<void(int)>* function = nullptr;
    int threads = 0;
    Place caller;
    std::vector<std::exception_ptr> errors;
  };

  void grow(int workers);
  void work(int number, uint64_t seen);
  void execute(int number);

  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  Job job_;
  alignas(64) std::atomic<uint64_t> started_{0};  // jobs begun
  alignas(64) std::atomic<int> running_{0};       // workers not yet done with the present one
  std::atomic<bool> stopping_{false};
};

}  // namespace genfast::core
