// Rows of an image: row code over as many columns as can be had, then site by site; several rows at
// once, each behind the one above, where the batch alone fills no tile.
//
//   lane 0   row y     . . . . . . . . . . @        @  computed now, by one call of the kernels
//   lane 1   row y+1   . . . . . . @                row y+1 at column x waits until row y has
//   lane 2   row y+2   . . @                        finished column x + lag (lags.h)
//   lane 0   row y+3   (next)
#include <algorithm>
#include <chrono>
#include <thread>

#include "cpu/frame.h"

namespace genfast::cpu {

// Every lane takes its first row; none has finished a site of the run.
void Session::set_lanes() {
  if (!is_raster()) return;
  first_row_ = position_ / executor_->program().columns();
  stop_row_.store(kNever, std::memory_order_relaxed);
  for (Frame& frame : frames_) {
    frame.stop_row = kNever;
    for (int f = 0; f < plan_.flight; ++f)
      frame.lanes[static_cast<size_t>(f)].sites.store(position_, std::memory_order_relaxed);
  }
}

// Rows of the image that are drawn at once, by all threads that share them.
int64_t Session::rows_at_once() const {
  return plan_.wavefront ? plan_.threads * plan_.flight : plan_.flight;
}

// The lane that draws row y, of the frame if the frames do not share the rows.
Session::Lane& Session::lane_of(Frame& frame, int64_t y) {
  const int64_t number = (y - first_row_) % rows_at_once();
  Frame& owner = plan_.wavefront ? frames_[static_cast<size_t>(number / plan_.flight)] : frame;
  return owner.lanes[static_cast<size_t>(number % plan_.flight)];
}

void Session::run_rows(Frame& frame, const Stretch& run) {
  const int64_t before = plan_.wavefront ? frame.thread * plan_.flight : 0;
  for (int f = 0; f < plan_.flight; ++f)
    begin_row(frame, frame.lanes[static_cast<size_t>(f)], first_row_ + before + f, run);
  int64_t waits = 0;
  while (choose(frame)) {
    if (frame.row_lanes.empty() && frame.site_lanes.empty()) {
      wait(frame, waits++);
      continue;
    }
    waits = 0;
    if (!row_code(frame) || !site_code(frame)) return;
    for (Lane* lane : frame.row_lanes) end_row(frame, *lane, run);
    for (Lane* lane : frame.site_lanes) end_row(frame, *lane, run);
  }
}

void Session::begin_row(Frame& frame, Lane& lane, int64_t y, const Stretch& run) {
  const int64_t columns = executor_->program().columns();
  const int64_t start = y * columns;
  lane.live = start < run.end;
  if (!lane.live) return;
  lane.y = y;
  lane.x = std::max<int64_t>(0, run.begin - start);
  lane.end = std::min(columns, run.end - start);
  lane.index = run.index - run.begin + start;
  const Aim at{lane.flight, y, 0};
  aim(frame, &frame.row_code, at);
  aim(frame, &frame.site_code, at);
  // A row that goes on has all of its row code behind it.
  lane.ready = lane.x > 0 ? columns : 0;
  if (lane.x > 0) return;
  std::fill(lane.reached.begin(), lane.reached.end(), 0);
  give_inputs(frame, lane.index, y, 0, columns);
}

void Session::end_row(Frame& frame, Lane& lane, const Stretch& run) {
  if (lane.live && lane.x == lane.end && lane.ready == executor_->program().columns())
    begin_row(frame, lane, lane.y + rows_at_once(), run);
}

// Points the sums at a row.
void Session::aim(Frame& frame, Code* code, Aim at) {
  for (size_t s = 0; s < code->sums.size(); ++s) {
    const size_t i = code->instructions[s];
    aim(&code->sums[s], &frame.terms[i], i, at, frame);
    const int relu = executor_->relu_of(i);
    code->sums[s].relus = relu >= 0;
    if (relu < 0) continue;
    const program::Instruction& behind =
        executor_->program().instructions()[static_cast<size_t>(relu)];
    aim(&code->sums[s].relu, {behind.targets[0], 0, 0}, at, frame);
  }
}

// Sorts out whose row code, and whose site code, can go on. False: no row is left.
bool Session::choose(Frame& frame) {
  const int64_t columns = executor_->program().columns();
  const int64_t lag = executor_->lags().site - sabotage_.columns;
  frame.row_lanes.clear();
  frame.site_lanes.clear();
  bool any = false;
  for (int f = 0; f < plan_.flight; ++f) {
    Lane& lane = frame.lanes[static_cast<size_t>(f)];
    lane.live = lane.live && !halted(frame, lane.y);
    if (!lane.live) continue;
    any = true;
    const bool draws = lane.x < lane.end;
    if (!draws || lane.x >= lane.ready) {
      const auto above = [&](int64_t ahead) {
        return draws ? std::clamp<int64_t>(lane.x + ahead + lag, 0, columns) : columns;
      };
      lane.finished = std::min(finished_above(frame, lane), above(plan_.most_columns));
      if (lane.finished < above(plan_.columns)) continue;
      frame.row_lanes.push_back(&lane);
    }
    if (draws) frame.site_lanes.push_back(&lane);
  }
  return any;
}

// Runs the row code as far as the row above allows. Each sum stays behind what it reads by its own
// lag, so what reads little runs far ahead.
bool Session::row_code(Frame& frame) {
  const int64_t columns = executor_->program().columns();
  const Lags& lags = executor_->lags();
  const auto end_of = [&](const Lane& lane, int64_t lag) {
    if (lane.finished == columns) return columns;
    return std::clamp<int64_t>(lane.finished - lag + sabotage_.columns, 0, columns);
  };
  if (frame.row_lanes.empty()) return true;
  for (size_t s = 0; s < frame.row_code.sums.size(); ++s) {
    frame.positions.clear();
    for (Lane* lane : frame.row_lanes) {
      const int64_t end = end_of(*lane, lags.of[frame.row_code.instructions[s]]);
      for (; lane->reached[s] < end; ++lane->reached[s])
        frame.positions.push_back({lane->flight, static_cast<int32_t>(lane->reached[s])});
    }
    if (!sums(frame, &frame.row_code.sums[s], 1)) return false;
  }
  for (Lane* lane : frame.row_lanes) lane->ready = end_of(*lane, lags.site);
  return true;
}

bool Session::site_code(Frame& frame) {
  if (frame.site_lanes.empty()) return true;
  if (sabotage_.thread == frame.thread)
    std::this_thread::sleep_for(
        frame.site_lanes.size() * std::chrono::microseconds(sabotage_.microseconds));
  for (const Segment& segment : frame.segments) {
    frame.positions.clear();
    for (const Lane* lane : frame.site_lanes)
      frame.positions.push_back({lane->flight, static_cast<int32_t>(lane->x)});
    const SumArgs* begin = frame.site_code.sums.data() + segment.begin;
    if (!sums(frame, begin, segment.end - segment.begin)) return false;
    if (segment.draw < 0) continue;
    draw_lanes(frame, static_cast<size_t>(segment.draw));
    if (barrier_ != nullptr && !meet(frame)) return false;
  }
  const int64_t columns = executor_->program().columns();
  for (Lane* lane : frame.site_lanes) {
    const int64_t finished = lane->y * columns + ++lane->x;
    lane->sites.store(finished, std::memory_order_release);
  }
  constexpr int64_t kPollSteps = 8;
  if (plan_.wavefront && frame.thread == 0 && ++frame.steps % kPollSteps == 0 && poll())
    leave_rows(frame, -1);
  return true;
}

// A row whose draw fails ends there; those above go on, for they may fail earlier.
void Session::draw_lanes(Frame& frame, size_t index) {
  const int64_t columns = executor_->program().columns();
  for (Lane* lane : frame.site_lanes) {
    const Column column{lane->index + lane->x, lane->y * columns + lane->x};
    if (draw(frame, index, column, lane->y, lane->x)) continue;
    lane->live = false;
    leave_rows(frame, lane->y);
  }
  std::erase_if(frame.site_lanes, [](const Lane* lane) { return !lane->live; });
}

// At the positions of the frame. False: told to stop, between two sums of a site that takes long.
bool Session::sums(Frame& frame, const SumArgs* all, int64_t count) {
  const Positions at{frame.positions.data(), static_cast<int32_t>(frame.positions.size())};
  if (!poll_.inside_sites && barrier_ == nullptr) {
    executor_->kernels().sums(all, static_cast<int32_t>(count), at);
    return true;
  }
  for (int64_t i = 0; i < count; ++i) {
    compute(frame, all[i], at);
    if (barrier_ == nullptr && frame.thread == 0 && poll())
      stop_at_.store(frame.step, std::memory_order_release);
    if (!meet(frame)) return false;
  }
  return true;
}

// Copies inputs of columns x .. x + columns of row y, which stand at `index` of the bound arrays.
// Threads that split panels read the same: one of them writes, while no other is before it.
void Session::give_inputs(Frame& frame, int64_t index, int64_t y, int64_t x, int64_t columns) {
  if (inputs_.empty()) return;
  if (barrier_ != nullptr) barrier_->wait(frame.thread);
  for (const auto& [buffer, values] : inputs_) {
    if (barrier_ != nullptr && frame.thread > 0) break;
    const int64_t width = executor_->program().buffers()[static_cast<size_t>(buffer)].width;
    const int64_t stride = kept_->layout(static_cast<size_t>(buffer)).stride;
    for (int64_t column = 0; column < columns; ++column) {
      float* to = floats(frame, {buffer, 0, 0}, y, x + column);
      for (int64_t row = frame.row_begin; row < frame.row_end; ++row)
        std::copy_n(
            values + (row * bound_.columns + index + column) * width, width, to + row * stride);
    }
  }
  if (barrier_ == nullptr) return;
  barrier_->wait(frame.thread);
  frame.step += 2;
}

}  // namespace genfast::cpu
