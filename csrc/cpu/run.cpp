// The loop over sites.
//
// Threads split the rows of the batch and never meet inside a site; or, where the batch is small
// and the weights are not, they split the panels of each sum and meet at a barrier after each
// instruction. Neither changes a bit.
#include <algorithm>
#include <chrono>

#include "cpu/frame.h"

namespace genfast::cpu {
namespace {

using program::Op;
using program::Phase;

// Where other work holds a core, a barrier waits for a thread that is not running, a time slice and
// not a site. A draw that sees it several times (once is a worker that wakes up) goes on alone for
// a while, with the same bits.
constexpr int kStalls = 4;
constexpr auto kAlone = std::chrono::milliseconds(50);

// A sum of more multiply-adds than this, some milliseconds of them, is cut so that the caller can
// ask for signals.
constexpr int64_t kPollWork = int64_t{1} << 28;
constexpr auto kPollEvery = std::chrono::milliseconds(10);

}  // namespace

int64_t Session::advance(
    int64_t first,
    int64_t count,
    int threads,
    const std::function<bool()>& interrupted) {
  const Busy busy(busy_);
  check_advance(first, count, threads);
  poll_ = {&interrupted, Clock::now()};
  int64_t done = 0;
  if (count > 0 && plan(threads).wavefront) return advance_wavefront(first, count, threads);
  while (done < count && !poll_.interrupted) {
    const int64_t sites = std::min(pace_, count - done);
    const auto begun = Clock::now();
    prepare_frames(begun < alone_until_ ? 1 : threads);
    kept_->clear();
    copy_symbols();
    poll_.inside_sites = sites == 1;
    set_lanes();
    stop_at_.store(kNever, std::memory_order_relaxed);
    core::ThreadPool::instance().run(
        static_cast<int>(frames_.size()), [&](int thread) { run(thread, first + done, sites); });
    throw_failure();
    if (poll_.interrupted) break;
    started_ = true;
    position_ += sites;
    done += sites;
    const auto now = Clock::now();
    if (barrier_ != nullptr && barrier_->stalls() >= kStalls) alone_until_ = now + kAlone;
    if (now - begun < std::chrono::milliseconds(2) && sites == pace_) pace_ *= 2;
    if (now - begun > std::chrono::milliseconds(5)) pace_ = std::max<int64_t>(1, pace_ / 2);
    poll();
  }
  return done;
}

// Asks for signals, every 10 ms, in the calling thread; not once more where one came, which others
// may take long to hear of.
bool Session::poll() {
  if (poll_.interrupted) return true;
  const auto now = Clock::now();
  if (now - poll_.last < kPollEvery) return false;
  poll_.last = now;
  poll_.interrupted = (*poll_.ask)();
  return poll_.interrupted;
}

void Session::run(int thread, int64_t first, int64_t count) {
  Frame& frame = frames_[static_cast<size_t>(thread)];
  frame.step = 0;
  frame.failure = Failure{};
  if (!started_) phase(frame, {0, 0}, Phase::kStart);
  if (is_raster()) {
    run_rows(frame, {position_, position_ + count, first});
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const Column column{first + i, position_ + i};
    give_inputs(frame, column.index, 0, column.position, 1);
    if (!phase(frame, column, Phase::kRow)) return;
    if (!phase(frame, column, Phase::kSite)) return;
  }
}

// Runs the instructions of one phase of a sequence, or the start code of any program. False: a
// draw failed.
bool Session::phase(Frame& frame, Column column, Phase phase) {
  const std::vector<program::Instruction>& instructions = executor_->program().instructions();
  // Every other site meets the panels backwards: the last weights of one site are the first of the
  // next, still cached.
  const bool reverse = column.position % 2 == 1;
  for (size_t i = 0; i < instructions.size(); ++i) {
    if (instructions[i].phase != phase || instructions[i].op == Op::kInput) continue;
    if (instructions[i].op == Op::kSum)
      sum(frame, i, column.position, reverse);
    else if (!draw(frame, i, column, 0, column.position))
      return false;
    if (barrier_ != nullptr && !frame.meets[i]) continue;
    if (!meet(frame)) return false;
  }
  return true;
}

// Behind an instruction. False: told to stop.
bool Session::meet(Frame& frame) {
  if (barrier_ != nullptr) {
    barrier_->wait(frame.thread);
    ++frame.step;
  }
  return !stopped(frame);
}

// Threads that meet at barriers all leave behind the same one, the one that the stop names; others
// leave at once.
bool Session::stopped(const Frame& frame) const {
  const int64_t at = stop_at_.load(std::memory_order_acquire);
  return barrier_ != nullptr ? at <= frame.step : at != kNever;
}

void Session::sum(Frame& frame, size_t index, int64_t x, bool reverse) {
  aim(&frame.sums[index], &frame.terms[index], index, {0, 0, x}, frame);
  frame.sums[index].reverse = reverse;
  constexpr Position here{0, 0};
  compute(frame, frame.sums[index], {&here, 1});
}

// Points a sum at the values of column x of row y, of a raster at those of its column 0.
void Session::aim(
    SumArgs* args,
    std::vector<Term>* terms,
    size_t index,
    Aim at,
    const Frame& frame) {
  const program::Instruction& instruction = executor_->program().instructions()[index];
  for (size_t t = 0; t < terms->size(); ++t) {
    const program::Ref& ref = instruction.terms[t].ref;
    Term& term = (*terms)[t];
    if (term.kind == Term::kLook) {
      term.symbols[at.flight] = symbols(frame, ref, at.y, at.x);
      term.input.places = places(ref.buffer);
    } else {
      aim(&term.input, ref, at, frame);
    }
  }
  for (size_t s = 0; s < instruction.states.size(); ++s)
    aim(&args->states[s], instruction.states[s], at, frame);
  aim(&args->target, {instruction.targets[0], 0, 0}, at, frame);
  if (instruction.targets.size() > 1) aim(&args->cell, {instruction.targets[1], 0, 0}, at, frame);
}

template <typename Values>
void Session::aim(Values* values, const program::Ref& ref, Aim at, const Frame& frame) {
  values->data[at.flight] = floats(frame, ref, at.y, at.x);
  values->stride = kept_->layout(static_cast<size_t>(ref.buffer)).stride;
  values->places = places(ref.buffer);
}

template void Session::aim(Target*, const program::Ref&, Aim, const Frame&);

Places Session::places(int buffer) const {
  return kept_->layout(static_cast<size_t>(buffer)).raster_columns() ? kColumns : kOneSlot;
}

// One call of the kernel, or several where it takes long: a site left in its middle is computed
// anew, to the same bits, because what it reads lies in other slots than what it writes.
void Session::compute(const Frame& frame, const SumArgs& whole, Positions at) {
  const int64_t rows = static_cast<int64_t>(whole.row_end - whole.row_begin) * at.count;
  const int64_t panel_work = rows * whole.depth * whole.vectors * executor_->kernels().lanes;
  const int64_t step = std::max<int64_t>(1, kPollWork / std::max<int64_t>(1, panel_work));
  for (int64_t begin = whole.panel_begin; begin < whole.panel_end; begin += step) {
    SumArgs part = whole;
    part.panel_begin = static_cast<int32_t>(begin);
    part.panel_end = static_cast<int32_t>(std::min<int64_t>(begin + step, whole.panel_end));
    executor_->kernels().sums(&part, 1, at);
    if (!poll_.inside_sites || part.panel_end == whole.panel_end) continue;
    if (frame.thread == 0 && poll()) stop_at_.store(frame.step + 1, std::memory_order_release);
    if (barrier_ == nullptr && stopped(frame)) return;
  }
}

}  // namespace genfast::cpu
