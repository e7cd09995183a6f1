// Rows of an image drawn at once, by one thread or by several.
//
// A batch that is large enough is dealt to the threads, and each draws as many rows of its images
// at once as fill a tile. Of a smaller one the threads share the rows of the image: each has
// several, the next thread those below. Each row says how many sites it has finished, in the order
// of the image; a row whose turn has not come waits. Where rows reach too far for that and weights
// are large, the threads split the panels of every sum, as in a sequence (run.cpp).
#include <algorithm>

#include "cpu/frame.h"

namespace genfast::cpu {

namespace {

// Spins, the first of them without a pause, before a thread that waits gives up its core.
constexpr int kSpins = 1000;
constexpr int kPauses = 4000;

// Waits between two questions whether a signal came.
constexpr int kPollSpins = 256;

// Rows of the batch, in all rows in flight, that a thread draws at once: enough chains of
// multiply-adds to hide their latency, and weights read once for all of them. Against 4, batches of
// 2 to 15 take 0.86 to 0.96 of the time; 16 is no faster.
constexpr int64_t kRowsAtOnce = 8;

// What rows in flight may keep: caches hold it, and a large image still needs a small part of its
// feature maps.
constexpr int64_t kFlightBytes = 6 << 20;

// Rows of the batch, of all columns of row code that is run at once: as many as fill tiles, and no
// more, so that what it writes is still cached when the sites come to it.
constexpr int64_t kRowCodeRows = 64;

// And those that a row waits for, if it may: row code that goes on pixel by pixel reads its weights
// for each, and who waits for long falls behind.
constexpr int64_t kRowCodeWait = 8;

}  // namespace

Session::Plan Session::plan(int threads) const {
  const auto of_batch = static_cast<int>(std::clamp<int64_t>(batch_, 1, threads));
  const bool units = by_units(threads);
  if (!is_raster()) return {units ? threads : of_batch, false, units, 1};
  const program::Program& program = executor_->program();
  // Rows of the image that can be under way together: each is lag + 1 columns behind the one above.
  const int64_t useful = std::max<int64_t>(
      1, std::min(program.rows(), program.columns() / (executor_->lags().site + 1)));
  const bool uneven = batch_ % threads != 0 && batch_ < kRowsAtOnce * threads;
  const auto sharing = static_cast<int>(std::min<int64_t>(threads, useful));
  const bool wavefront = uneven && sharing > 1 && sharing >= of_batch;
  const int workers = wavefront ? sharing : units ? threads : of_batch;
  const int64_t rows = wavefront || units ? batch_ : (batch_ + workers - 1) / workers;
  const int64_t room = std::min(useful, kFlightBytes / (batch_ * executor_->row_bytes()));
  const int64_t most = std::clamp<int64_t>(wavefront ? room / sharing : room, 1, kMaxFlight);
  Plan plan{
      workers, wavefront, units && !wavefront,
      static_cast<int>(std::clamp<int64_t>(kRowsAtOnce / rows, 1, most))};
  plan.most_columns = std::max<int64_t>(1, kRowCodeRows / rows);
  const int64_t at_once = plan.flight * (wavefront ? workers : 1);
  plan.columns = std::clamp<int64_t>(
      program.columns() / at_once - executor_->lags().site, 1,
      std::max<int64_t>(1, kRowCodeWait / rows));
  return plan;
}

// The whole of `count` sites at once: threads ask for signals on their way.
int64_t Session::advance_wavefront(int64_t first, int64_t count, int threads) {
  prepare_frames(threads);
  kept_->clear();
  poll_.inside_sites = false;
  set_lanes();
  core::ThreadPool& pool = core::ThreadPool::instance();
  if (!started_) pool.run(1, [&](int) { phase(frames_[0], {0, 0}, program::Phase::kStart); });
  started_ = true;
  for (Frame& frame : frames_) frame.failure = Failure{};
  const Stretch run{position_, position_ + count, first};
  drawing_.store(plan_.threads, std::memory_order_relaxed);
  pool.run(plan_.threads, [&](int thread) {
    Frame& frame = frames_[static_cast<size_t>(thread)];
    run_rows(frame, run);
    drawing_.fetch_sub(1, std::memory_order_release);
    // The caller goes on asking for signals.
    for (int64_t waits = 0; thread == 0 && drawing_.load(std::memory_order_acquire) > 0; ++waits)
      wait(frame, waits);
  });
  throw_failure();
  const int64_t done = poll_.interrupted ? settle(run) : count;
  position_ += done;
  return done;
}

// Rows of the image behind row y are left.
void Session::leave_rows(Frame& frame, int64_t y) {
  frame.stop_row = std::min(frame.stop_row, y);
  if (!plan_.wavefront) return;
  int64_t now = stop_row_.load(std::memory_order_relaxed);
  while (y < now && !stop_row_.compare_exchange_weak(now, y)) {
  }
}

bool Session::halted(const Frame& frame, int64_t y) const {
  return frame.stop_row < y || (plan_.wavefront && stop_row_.load(std::memory_order_relaxed) < y);
}

// Columns of the row above that are finished.
int64_t Session::finished_above(Frame& frame, const Lane& lane) {
  const int64_t columns = executor_->program().columns();
  if (lane.y == first_row_ || rows_at_once() == 1) return columns;
  const int64_t sites = lane_of(frame, lane.y - 1).sites.load(std::memory_order_acquire);
  return std::clamp<int64_t>(sites - (lane.y - 1) * columns, 0, columns);
}

// Until another thread is further.
void Session::wait(Frame& frame, int64_t waits) {
  if (frame.thread == 0 && waits % kPollSpins == kPollSpins - 1 && poll()) leave_rows(frame, -1);
  if (waits > kSpins) core::relax(waits > kSpins + kPauses);
}

// Behind an interruption: the sites finished before the first that is not. Rows below it may have
// been begun; they will be drawn anew, to the same bits.
int64_t Session::settle(const Stretch& run) {
  const int64_t columns = executor_->program().columns();
  int64_t at = run.begin;
  for (int64_t y = first_row_; at < run.end; ++y) {
    Lane& lane = lane_of(frames_[0], y);
    const int64_t row_end = std::min(run.end, (y + 1) * columns);
    at = std::clamp(lane.sites.load(), at, row_end);
    if (at == row_end) continue;
    // A row that goes on has all of its row code behind it.
    if (at > y * columns && lane.ready < columns) {
      Frame& frame = frames_[static_cast<size_t>((y - first_row_) % rows_at_once() / plan_.flight)];
      lane.finished = columns;
      frame.row_lanes = {&lane};
      core::ThreadPool::instance().run(1, [&](int) { row_code(frame); });
    }
    break;
  }
  return at - run.begin;
}

}  // namespace genfast::cpu
