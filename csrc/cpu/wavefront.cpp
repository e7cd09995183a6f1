// Rows of an image drawn at once, where the batch has fewer rows than there are threads.
//
//   thread 0   row 0   . . . . . . . . . . . . @            @  drawn now
//   thread 1   row 1   . . . . . . . @                      row y at column x waits until row y-1
//   thread 2   row 2   . . @                                has finished column x + lag (lags.h)
//   thread 0   row 3   (next)
//
// Each thread says how many sites it has finished, in the order of the image; to have finished one
// is to have waited for all above it, so every row above that one is as far as it must be.
#include <algorithm>

#include "cpu/frame.h"

namespace genfast::cpu {

namespace {

// Spins, the first of them without a pause, before a thread that waits gives up its core.
constexpr int kSpins = 1000;
constexpr int kPauses = 4000;

// Rows of the batch a thread from which it is better to split the batch: fewer fill no tile, and to
// draw them all at once costs a thread little more than to draw some.
constexpr int64_t kBatchRows = 4;

// Waits between two questions whether a signal came.
constexpr int kPollSpins = 256;

}  // namespace

// Rows of the image that are worth drawing at once; 0 where the batch is split over its rows, or
// where the row above must be so far ahead that threads would wait for each other.
int Session::wavefront_threads(int threads) const {
  if (!is_raster() || threads < 2 || batch_ >= kBatchRows * threads) return 0;
  const program::Program& program = executor_->program();
  const int64_t useful = std::min(program.rows(), program.columns() / (executor_->lags().site + 1));
  const auto rows = static_cast<int>(std::min<int64_t>(threads, useful));
  return rows > 1 && rows >= std::min<int64_t>(threads, batch_) ? rows : 0;
}

// The whole of `count` sites at once: threads ask for signals on their way.
int64_t Session::advance_wavefront(int64_t first, int64_t count, int threads) {
  const int64_t columns = executor_->program().columns();
  prepare_frames(threads);
  const int64_t rows = (position_ + count - 1) / columns - position_ / columns + 1;
  pristine_ = false;
  lanes_ = std::min<int64_t>(rows, static_cast<int64_t>(frames_.size()));
  poll_.inside_sites = false;
  stop_row_.store(kNever, std::memory_order_relaxed);
  progress_ = std::vector<Progress>(frames_.size());
  // Rows above the first are finished, the first up to the position.
  for (Progress& progress : progress_) progress.sites.store(position_, std::memory_order_relaxed);
  core::ThreadPool& pool = core::ThreadPool::instance();
  if (!started_) pool.run(1, [&](int) { phase(frames_[0], {0, 0}, program::Phase::kStart); });
  started_ = true;
  for (Frame& frame : frames_) frame.failure = Failure{};
  pool.run(static_cast<int>(lanes_), [&](int thread) {
    run_rows(frames_[static_cast<size_t>(thread)], first, count);
  });
  throw_failure();
  const int64_t done = poll_.interrupted ? settle(first, count) : count;
  position_ += done;
  return done;
}

void Session::publish(const Frame& frame, int64_t sites) {
  progress_[static_cast<size_t>(frame.thread)].sites.store(sites, std::memory_order_release);
  if (frame.thread == 0 && sites % 8 == 0 && poll()) leave_rows(-1);
}

// Rows of the image from y on are left; those above go on, for they may fail earlier.
void Session::leave_rows(int64_t y) {
  int64_t now = stop_row_.load(std::memory_order_relaxed);
  while (y < now && !stop_row_.compare_exchange_weak(now, y)) {
  }
}

bool Session::halted(int64_t y) const {
  return wavefront_ && stop_row_.load(std::memory_order_relaxed) < y;
}

// Waits until `wanted` columns of the row above are finished; returns how many are, or -1: told to
// stop.
int64_t Session::finished_above(const Frame& frame, const Stripe& stripe, int64_t wanted) {
  const int64_t columns = executor_->program().columns();
  if (!wavefront_) return wanted;
  if (stripe.first || lanes_ == 1) return columns;
  const int64_t owner = (frame.thread + lanes_ - 1) % lanes_;
  const std::atomic<int64_t>& sites = progress_[static_cast<size_t>(owner)].sites;
  for (int spins = 0;; ++spins) {
    const int64_t begin = (stripe.y - 1) * columns;
    const int64_t finished =
        std::clamp<int64_t>(sites.load(std::memory_order_acquire) - begin, 0, columns);
    if (finished >= wanted) return finished;
    if (halted(stripe.y)) return -1;
    if (frame.thread == 0 && spins % kPollSpins == kPollSpins - 1 && poll()) leave_rows(-1);
    if (spins > kSpins) core::relax(spins > kSpins + kPauses);
  }
}

// Behind an interruption: the sites finished before the first that is not. Rows below it may have
// been begun; they will be drawn anew, to the same bits.
int64_t Session::settle(int64_t first, int64_t count) {
  const int64_t columns = executor_->program().columns();
  const int64_t end = position_ + count;
  int64_t at = position_;
  for (int64_t y = position_ / columns; at < end; ++y) {
    const int64_t thread = (y - position_ / columns) % lanes_;
    const int64_t begun = y * columns;
    const int64_t row_end = std::min(end, begun + columns);
    at = std::clamp(progress_[static_cast<size_t>(thread)].sites.load(), at, row_end);
    if (at == row_end) continue;
    Frame& frame = frames_[static_cast<size_t>(thread)];
    const Stripe stripe{y, at - begun, row_end - begun, first - position_ + begun, true};
    // A row that goes on has all of its row code behind it.
    if (at > begun && frame.ready < columns)
      core::ThreadPool::instance().run(1, [&](int) { row_code(frame, stripe, columns - 1); });
    break;
  }
  return at - position_;
}

}  // namespace genfast::cpu
