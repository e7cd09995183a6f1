// Kept buffers of a batch and a position in the order: what a draw leaves behind between sites.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "core/thread_pool.h"
#include "cpu/executor.h"

namespace genfast::cpu {

// Arrays of a chunk of C sites, of which `advance` uses some columns. Of a site there are u
// uniforms, v values, d draws and p parameters of each draw. Borrowed.
struct Bound {
  int64_t columns = 0;
  int64_t parameters = 0;
  const float* uniforms = nullptr;  // [N, C, u]
  int64_t* values = nullptr;        // [N, C, v]
  const int64_t* forced = nullptr;  // [N, C, v], -1: draw; or null
  float* scores = nullptr;          // [N, C, d, p], or null
  float* log_probs = nullptr;       // [N, C, d], or null
};

class Session {
 public:
  Session(std::shared_ptr<const Executor> executor, int64_t batch);
  ~Session();

  void options(
      const core::Tensor& temperature,
      const core::Tensor& top_k,
      const core::Tensor& top_p);
  void input(int buffer, const core::Tensor& values);
  void bind(
      const core::Tensor& uniforms,
      const core::Tensor& values,
      const core::Tensor* forced,
      const core::Tensor* scores,
      const core::Tensor* log_probs);

  // Runs `count` sites into the bound columns from `first` on. `interrupted` is asked every 10 ms
  // by the calling thread; on true the session stays at its last finished site. Returns the sites
  // finished.
  int64_t advance(
      int64_t first,
      int64_t count,
      int threads,
      const std::function<bool()>& interrupted);

  void reset(const core::Tensor& rows);
  void select(const core::Tensor& rows);
  std::string state() const;
  void restore(const std::string& state);

  int64_t batch() const { return batch_; }
  int64_t position() const { return position_; }
  size_t scratch_bytes() const;

 private:
  struct Frame;    // one thread's share of the work, prepared once
  struct Failure;  // scores that cannot be drawn from
  struct StateHeader;
  class Busy;  // refuses a second caller

  using Clock = std::chrono::steady_clock;
  static constexpr int64_t kNever = INT64_MAX;

  // Signals: whom to ask, and what came.
  struct Poll {
    const std::function<bool()>* ask = nullptr;
    Clock::time_point last{};
    bool inside_sites = false;  // a site may be left in its middle: it is the only one of the run
    bool interrupted = false;
  };

  struct Column {
    int64_t index;     // of the bound arrays
    int64_t position;  // in the order
  };

  bool by_units(int threads) const;
  void prepare_frames(int threads);
  Frame make_frame(int thread, int threads) const;
  std::vector<bool> meets() const;
  void copy_symbols();
  void check_advance(int64_t first, int64_t count, int threads) const;
  void check_forced(int64_t first, int64_t count) const;
  void check_forced(const program::Instruction& draw, int64_t row, int64_t column, int64_t site)
      const;
  void bind_scores(Bound& bound, const core::Tensor& scores) const;
  void run(int thread, int64_t first, int64_t count);
  bool phase(
      Frame& frame,
      Column column,
      program::Phase phase,
      int64_t y,
      int64_t x,
      int64_t columns);
  void sum(Frame& frame, size_t index, int64_t y, int64_t x, bool reverse);
  bool draw(Frame& frame, size_t index, Column column, int64_t y, int64_t x);
  void copy_scores(const program::Instruction& draw, const DrawArgs& args, int64_t column);
  void compute(const Frame& frame, const SumArgs& whole);
  bool stopped(const Frame& frame) const;
  bool poll();
  void throw_failure();
  uint64_t shape_hash() const;
  void clamp_symbols();
  void fill_border(int buffer, int64_t row_begin, int64_t row_end);
  float* floats(const program::Ref& ref, int64_t y, int64_t x);
  int32_t* symbols(const program::Ref& ref, int64_t y, int64_t x, int thread);
  std::vector<int64_t> checked_rows(const core::Tensor& rows) const;

  std::shared_ptr<const Executor> executor_;
  int64_t batch_;
  int64_t position_ = 0;
  bool started_ = false;  // the start phase has run on the present inputs
  bool failed_ = false;
  int64_t pace_ = 1;                             // sites that take some milliseconds
  std::vector<core::Aligned<float>> floats_;     // one a buffer
  std::vector<core::Aligned<int32_t>> symbols_;  // one a buffer
  // Threads that split panels draw into symbols of their own: [thread - 1][buffer], copies of
  // symbols_ when a run begins.
  std::vector<std::vector<core::Aligned<int32_t>>> own_symbols_;
  std::vector<float> temperature_;
  std::vector<int64_t> top_k_;
  std::vector<float> top_p_;
  Bound bound_;
  std::vector<Frame> frames_;
  std::unique_ptr<core::Barrier> barrier_;
  Clock::time_point alone_until_{};  // threads were kept waiting: one until then
  Poll poll_;
  std::atomic<int64_t> stop_at_{kNever};  // the step behind which a run ends early
  mutable std::atomic<bool> busy_{false};
};

}  // namespace genfast::cpu
