// The rows of an image: row code over many columns in one call of the kernel, then site by site.
#include <algorithm>
#include <chrono>
#include <thread>

#include "cpu/frame.h"

namespace genfast::cpu {

// Every row in turn; or, in a wavefront, every `lanes_`-th.
void Session::run_rows(Frame& frame, int64_t first, int64_t count) {
  const int64_t columns = executor_->program().columns();
  const int64_t begin = position_;
  const int64_t end = begin + count;
  const int64_t first_row = begin / columns;
  for (int64_t y = first_row + (wavefront_ ? frame.thread : 0); y * columns < end;
       y += wavefront_ ? lanes_ : 1) {
    const int64_t start = y * columns;
    const Stripe stripe{
        y, std::max<int64_t>(0, begin - start), std::min(columns, end - start),
        first - begin + start, y == first_row};
    if (!run_row(frame, stripe)) return;
  }
}

// False: a draw failed, or the run ends early.
bool Session::run_row(Frame& frame, const Stripe& stripe) {
  const int64_t columns = executor_->program().columns();
  aim(frame, &frame.row_code, stripe.y);
  aim(frame, &frame.site_code, stripe.y);
  // A row that goes on has all of its row code behind it.
  frame.ready = stripe.begin > 0 ? columns : 0;
  if (stripe.begin == 0) {
    std::fill(frame.reached.begin(), frame.reached.end(), 0);
    give_inputs(frame, stripe.index, stripe.y, 0, columns);
  }
  for (int64_t x = stripe.begin; x < stripe.end; ++x) {
    if (x >= frame.ready && !row_code(frame, stripe, x)) return false;
    if (halted(stripe.y) || !site(frame, stripe, x)) return false;
    if (wavefront_) publish(frame, stripe.y * columns + x + 1);
  }
  return frame.ready == columns || row_code(frame, stripe, columns - 1);
}

// Points the sums at row y.
void Session::aim(Frame& frame, Code* code, int64_t y) {
  for (size_t s = 0; s < code->sums.size(); ++s) {
    const size_t i = code->instructions[s];
    aim(&code->sums[s], &frame.terms[i], i, y, 0, frame);
    const int relu = executor_->relu_of(i);
    if (relu < 0) continue;
    const program::Instruction& behind =
        executor_->program().instructions()[static_cast<size_t>(relu)];
    code->sums[s].relu = target_of(frame, behind.targets[0], y, 0);
  }
}

// Columns of row code that are run at once: as many as fill tiles, and no more, so that what it
// writes is still cached when the sites come to it, and in a wavefront nobody waits for long.
int64_t Session::chunk(const Frame& frame) const {
  constexpr int64_t kRows = 64;
  constexpr int64_t kWavefrontRows = 8;
  const int64_t rows = wavefront_ ? kWavefrontRows : kRows;
  return std::max<int64_t>(1, rows / (frame.row_end - frame.row_begin));
}

// Runs the row code as far as the row above allows, column x at least. Each sum stays behind what
// it reads by its own lag, so what reads little runs far ahead.
bool Session::row_code(Frame& frame, const Stripe& stripe, int64_t x) {
  const int64_t columns = executor_->program().columns();
  const Lags& lags = executor_->lags();
  const int64_t wanted = std::min(columns, x + chunk(frame));
  const int64_t site_lag = lags.site - sabotage_.columns;
  const int64_t finished =
      finished_above(frame, stripe, std::min(columns, std::max<int64_t>(0, wanted + site_lag)));
  if (finished < 0) return false;
  const auto end_of = [&](int64_t lag) {
    return finished == columns ? columns : std::clamp<int64_t>(finished - lag, 0, columns);
  };
  for (size_t s = 0; s < frame.row_code.sums.size(); ++s) {
    const int64_t lag = lags.of[frame.row_code.instructions[s]] - sabotage_.columns;
    const int64_t end = end_of(lag);
    const Span span{static_cast<int32_t>(frame.reached[s]), static_cast<int32_t>(end)};
    if (!sums(frame, &frame.row_code.sums[s], 1, span)) return false;
    frame.reached[s] = end;
  }
  frame.ready = end_of(site_lag);
  return true;
}

bool Session::site(Frame& frame, const Stripe& stripe, int64_t x) {
  if (sabotage_.thread == frame.thread)
    std::this_thread::sleep_for(std::chrono::microseconds(sabotage_.microseconds));
  const auto c = static_cast<int32_t>(x);
  const int64_t position = stripe.y * executor_->program().columns() + x;
  const Column column{stripe.index + x, position};
  for (const Stretch& stretch : frame.stretches) {
    const SumArgs* begin = frame.site_code.sums.data() + stretch.begin;
    if (!sums(frame, begin, stretch.end - stretch.begin, {c, c + 1})) return false;
    if (stretch.draw < 0) continue;
    const auto draw_at = static_cast<size_t>(stretch.draw);
    if (draw(frame, draw_at, column, stripe.y, x)) continue;
    if (wavefront_) leave_rows(stripe.y);
    return false;
  }
  return true;
}

// False: told to stop, between two sums of a site that takes long.
bool Session::sums(const Frame& frame, const SumArgs* all, int64_t count, Span columns) {
  if (!poll_.inside_sites) {
    executor_->kernels().sums(all, static_cast<int32_t>(count), columns);
    return true;
  }
  for (int64_t i = 0; i < count; ++i) {
    compute(frame, all[i], columns);
    if (frame.thread == 0 && poll()) stop_at_.store(frame.step, std::memory_order_release);
    if (stopped(frame)) return false;
  }
  return true;
}

// Copies inputs of columns x .. x + columns of row y, which stand at `index` of the bound arrays.
void Session::give_inputs(
    const Frame& frame,
    int64_t index,
    int64_t y,
    int64_t x,
    int64_t columns) {
  for (const auto& [buffer, values] : inputs_) {
    const int64_t width = executor_->program().buffers()[static_cast<size_t>(buffer)].width;
    const int64_t stride = layouts_[static_cast<size_t>(buffer)].stride;
    for (int64_t column = 0; column < columns; ++column) {
      float* to = floats(frame, {buffer, 0, 0}, y, x + column);
      for (int64_t row = frame.row_begin; row < frame.row_end; ++row)
        std::copy_n(
            values + (row * bound_.columns + index + column) * width, width, to + row * stride);
    }
  }
}

// Of a sequence. Threads that split panels read the same inputs: one of them writes, while no other
// is at the site before.
void Session::give_column(Frame& frame, Column column) {
  if (inputs_.empty()) return;
  if (barrier_ == nullptr) {
    give_inputs(frame, column.index, 0, column.position, 1);
    return;
  }
  barrier_->wait(frame.thread);
  if (frame.thread == 0) give_inputs(frame, column.index, 0, column.position, 1);
  barrier_->wait(frame.thread);
  frame.step += 2;
}

}  // namespace genfast::cpu
