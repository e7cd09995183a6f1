#include "core/thread_pool.h"

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

#include <cfenv>
#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace genfast::core {
namespace {

constexpr auto kSpin = std::chrono::microseconds(100);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Asks a microsecond or so, without a pause: what is awaited comes within a site.
template <typename Ready>
bool poll(const Ready& ready) {
  for (int i = 0; i < 1000; ++i)
    if (ready()) return true;
  return false;
}

// Spins until ready() or the deadline; says whether it was ready.
template <typename Ready>
bool spin(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  while (true) {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause();
    }
    if (std::chrono::steady_clock::now() > end) return ready();
  }
}

// The default floating-point mode for a scope.
class DefaultFloatingPoint {
 public:
  DefaultFloatingPoint() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
#if defined(__x86_64__)
    _mm_setcsr(0x1f80);  // exceptions masked, round to nearest, no flush to zero
#endif
  }
  ~DefaultFloatingPoint() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
};

// Some schedulers leave a worker where it was woken, on the caller's own processor, though another
// is idle: two threads then share one, for seconds. A worker that finds itself there moves away, to
// any other processor that the caller may use.
#if defined(__linux__)
Place here() { return {sched_getcpu(), gettid()}; }

void leave(const Place& caller) {
  if (sched_getcpu() != caller.processor) return;
  cpu_set_t others;
  if (sched_getaffinity(caller.thread, sizeof others, &others) != 0) return;
  CPU_CLR(static_cast<size_t>(caller.processor), &others);
  if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof others, &others);
}
#else
Place here() { return {}; }
void leave(const Place&) {}
#endif

// Threads do not survive a fork: the child leaves the parent's pool as it lies and makes its own.
std::atomic<ThreadPool*> the_pool{nullptr};

}  // namespace

void relax(bool yield) {
  if (yield)
    std::this_thread::yield();
  else
    pause();
}

void Barrier::wait(int thread) {
  const uint64_t arrival =
      arrivals_[static_cast<size_t>(thread)].count.load(std::memory_order_relaxed) + 1;
  arrivals_[static_cast<size_t>(thread)].count.store(arrival, std::memory_order_release);
  for (const Arrivals& other : arrivals_) {
    const auto arrived = [&] { return other.count.load(std::memory_order_acquire) >= arrival; };
    if (poll(arrived) || spin(arrived)) continue;
    stalls_.fetch_add(1, std::memory_order_relaxed);
    do std::this_thread::yield();
    while (!spin(arrived));
  }
}

ThreadPool& ThreadPool::instance() {
  static std::mutex making;
  static const int registered = pthread_atfork(
      [] { making.lock(); }, [] { making.unlock(); },
      [] {
        the_pool.store(nullptr);
        making.unlock();
      });
  (void)registered;
  if (ThreadPool* pool = the_pool.load(std::memory_order_acquire)) return *pool;
  const std::lock_guard<std::mutex> lock(making);
  if (the_pool.load() == nullptr) the_pool.store(new ThreadPool, std::memory_order_release);
  return *the_pool.load();
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int threads, const std::function<void(int)>& job) {
  if (threads <= 1) {
    const DefaultFloatingPoint mode;
    job(0);
    return;
  }
  const std::lock_guard<std::mutex> callers(callers_);
  grow(threads - 1);
  job_.function = &job;
  job_.threads = threads;
  job_.caller = here();
  job_.errors.assign(static_cast<size_t>(threads), nullptr);
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    started_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  execute(0);
  const auto parked = [this] { return running_.load(std::memory_order_acquire) == 0; };
  while (!spin(parked)) std::this_thread::yield();
  job_.function = nullptr;
  for (const std::exception_ptr& error : job_.errors)
    if (error) std::rethrow_exception(error);
}

// Called between jobs, so a new worker has seen all of the jobs begun so far, however late it first
// runs.
void ThreadPool::grow(int workers) {
  while (static_cast<int>(workers_.size()) < workers) {
    const int number = static_cast<int>(workers_.size()) + 1;
    const uint64_t seen = started_.load(std::memory_order_relaxed);
    workers_.emplace_back([this, number, seen] { work(number, seen); });
  }
}

void ThreadPool::work(int number, uint64_t seen) {
  while (true) {
    const auto ready = [&] {
      return started_.load(std::memory_order_acquire) != seen || stopping_.load();
    };
    if (!spin(ready)) {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, ready);
    }
    if (stopping_.load()) return;
    seen = started_.load(std::memory_order_acquire);
    if (number < job_.threads) {
      leave(job_.caller);
      execute(number);
    }
    running_.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::execute(int number) {
  const DefaultFloatingPoint mode;
  try {
    (*job_.function)(number);
  } catch (...) {
    job_.errors[static_cast<size_t>(number)] = std::current_exception();
  }
}

}  // namespace genfast::core
