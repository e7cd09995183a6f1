// Kept buffers of a batch and a position in the order: what a draw leaves behind between sites.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/busy.h"
#include "core/tensor.h"
#include "core/thread_pool.h"
#include "cpu/kept.h"

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
  // Inputs known ahead of each row, by buffer: float32 [N, C, width]. Behind `bind`, which forgets
  // them.
  void bind_inputs(const std::map<int, core::Tensor>& inputs);

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

  // For tests: rows of an image begin `columns` too early, and a thread sleeps at each site.
  struct Sabotage {
    int64_t columns = 0;
    int thread = -1;
    int microseconds = 0;
  };
  void sabotage(const Sabotage& sabotage) { sabotage_ = sabotage; }
  void poison();

 private:
  struct Frame;    // one thread's share of the work, prepared once
  struct Failure;  // scores that cannot be drawn from
  struct StateHeader;
  struct Code;
  struct Lane;
  struct Segment;

  using Busy = core::Busy;
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

  // How the work is dealt.
  struct Plan {
    int threads = 1;
    bool wavefront = false;    // threads share the rows of an image, and not those of the batch,
    bool units = false;        // or the panels of every sum
    int flight = 1;            // rows of an image that a thread draws at once
    int64_t columns = 1;       // that row code waits for, to run them at once,
    int64_t most_columns = 1;  // and that it runs at once
    bool operator==(const Plan&) const = default;
  };

  // A place that sums are pointed at: column x of row y, which is a frame's row `flight`.
  struct Aim {
    int flight;
    int64_t y;
    int64_t x;
  };

  // Sites of a run of a raster: which, and where the first stands in the bound arrays.
  struct Stretch {
    int64_t begin;
    int64_t end;
    int64_t index;
  };

  bool is_raster() const { return executor_->program().order() == program::Order::kRaster; }
  bool by_units(int threads) const;
  Plan plan(int threads) const;
  void prepare_frames(int threads);
  Frame make_frame(int thread, int threads) const;
  void add_raster_code(Frame* frame) const;
  std::vector<bool> meets() const;
  void copy_symbols();
  void check_advance(int64_t first, int64_t count, int threads) const;
  void check_inputs(int64_t first, int64_t count) const;
  void check_forced(int64_t first, int64_t count) const;
  void check_forced(const program::Instruction& draw, int64_t row, int64_t column, int64_t site)
      const;
  void bind_scores(Bound& bound, const core::Tensor& scores) const;
  void run(int thread, int64_t first, int64_t count);
  bool phase(Frame& frame, Column column, program::Phase phase);
  void sum(Frame& frame, size_t index, int64_t x, bool reverse);
  void aim(SumArgs* args, std::vector<Term>* terms, size_t index, Aim at, const Frame& frame);
  template <typename Values>
  void aim(Values* values, const program::Ref& ref, Aim at, const Frame& frame);
  void aim(Frame& frame, Code* code, Aim at);
  Places places(int buffer) const;
  void give_inputs(Frame& frame, int64_t index, int64_t y, int64_t x, int64_t columns);
  void set_lanes();
  void run_rows(Frame& frame, const Stretch& run);
  void begin_row(Frame& frame, Lane& lane, int64_t y, const Stretch& run);
  void end_row(Frame& frame, Lane& lane, const Stretch& run);
  bool choose(Frame& frame);
  bool row_code(Frame& frame);
  bool site_code(Frame& frame);
  void draw_lanes(Frame& frame, size_t index);
  bool sums(Frame& frame, const SumArgs* all, int64_t count);
  int64_t advance_wavefront(int64_t first, int64_t count, int threads);
  int64_t rows_at_once() const;
  Lane& lane_of(Frame& frame, int64_t y);
  void wait(Frame& frame, int64_t waits);
  int64_t finished_above(Frame& frame, const Lane& lane);
  bool halted(const Frame& frame, int64_t y) const;
  void leave_rows(Frame& frame, int64_t y);
  int64_t settle(const Stretch& run);
  bool draw(Frame& frame, size_t index, Column column, int64_t y, int64_t x);
  void copy_scores(const program::Instruction& draw, const DrawArgs& args, int64_t column);
  void compute(const Frame& frame, const SumArgs& whole, Positions at);
  bool meet(Frame& frame);
  bool stopped(const Frame& frame) const;
  bool poll();
  void throw_failure();
  uint64_t shape_hash() const;
  void lay_out(int flight, int parts);
  int64_t row_of_image() const;
  float* floats(const Frame& frame, const program::Ref& ref, int64_t y, int64_t x);
  int32_t* symbols(const Frame& frame, const program::Ref& ref, int64_t y, int64_t x);
  std::vector<int64_t> checked_rows(const core::Tensor& rows) const;

  std::shared_ptr<const Executor> executor_;
  int64_t batch_;
  std::unique_ptr<Kept> kept_;
  int64_t position_ = 0;
  bool started_ = false;  // the start phase has run on the present inputs
  bool failed_ = false;
  int64_t pace_ = 1;  // sites that take some milliseconds
  // Threads that split panels draw into symbols of their own: [thread - 1][buffer], copies of those
  // kept when a run begins.
  std::vector<std::vector<core::Aligned<int32_t>>> own_symbols_;
  std::vector<float> temperature_;
  std::vector<int64_t> top_k_;
  std::vector<float> top_p_;
  Bound bound_;
  std::map<int, const float*> inputs_;  // [N, C, width], by buffer
  std::vector<Frame> frames_;
  int64_t first_row_ = 0;  // of the image, in this run
  std::unique_ptr<core::Barrier> barrier_;
  Clock::time_point alone_until_{};  // threads were kept waiting: one until then
  Poll poll_;
  std::atomic<int64_t> stop_at_{kNever};   // the step behind which a run ends early
  Plan plan_;                              // of the frames
  std::atomic<int> drawing_{0};            // threads of a wavefront that have rows to draw
  std::atomic<int64_t> stop_row_{kNever};  // rows of the image from this one on are left
  Sabotage sabotage_;
  mutable std::atomic<bool> busy_{false};
};

}  // namespace genfast::cpu
