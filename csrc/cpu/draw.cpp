// Draws of a site: what the kernel is given, what the caller sees, and what went wrong.
#include <algorithm>

#include "cpu/frame.h"

namespace genfast::cpu {

// Where threads split panels, each draws every row, into symbols of its own: cheaper than to meet
// once more. The first writes what the caller sees.
bool Session::draw(Frame& frame, size_t index, Column column, int64_t y, int64_t x, int64_t draw) {
  const bool shows = barrier_ == nullptr || frame.thread == 0;
  const program::Instruction& instruction = executor_->program().instructions()[index];
  const program::Ref& scores = instruction.scores;
  const int64_t place = column.index * bound_.draws + draw;
  const int64_t row_draws = bound_.columns * bound_.draws;
  DrawArgs args{};
  args.scores = {
      floats(scores, y, x), executor_->layouts()[static_cast<size_t>(scores.buffer)].stride};
  args.classes = static_cast<int32_t>(
      executor_->program().buffers()[static_cast<size_t>(instruction.targets[0])].vocabulary);
  args.uniforms = bound_.uniforms + place;
  args.forced = bound_.forced == nullptr ? nullptr : bound_.forced + place;
  args.uniforms_stride = args.forced_stride = row_draws;
  args.values = shows ? bound_.values + place : frame.hidden_values.data();
  args.values_stride = shows ? row_draws : 1;
  args.log_probs = shows && bound_.log_probs != nullptr ? bound_.log_probs + place : nullptr;
  args.log_probs_stride = row_draws;
  args.temperature = temperature_.data();
  args.top_k = top_k_.data();
  args.top_p = top_p_.data();
  args.symbols = symbols({instruction.targets[0], 0, 0}, y, x, frame.thread);
  args.row_begin = frame.row_begin;
  args.row_end = frame.row_end;
  args.scratch = frame.scratch.data();
  if (shows && bound_.scores != nullptr) copy_scores(args, column.index);
  executor_->kernels().draw_categorical(args);
  if (args.error == DrawError::kNone) return true;
  frame.failure = {args.error, column.position, args.error_row};
  return false;
}

void Session::copy_scores(const DrawArgs& args, int64_t column) {
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    const float* from = args.scores.data + row * args.scores.stride;
    std::copy(
        from, from + args.classes,
        bound_.scores + (row * bound_.columns + column) * bound_.classes);
  }
}

// The first failure in the order of sites, then of rows.
void Session::throw_failure() {
  const Failure* first = nullptr;
  for (const Frame& frame : frames_) {
    const Failure& failure = frame.failure;
    if (failure.error == DrawError::kNone) continue;
    if (first == nullptr || failure.position < first->position ||
        (failure.position == first->position && failure.row < first->row))
      first = &failure;
  }
  if (first == nullptr) return;
  failed_ = true;
  const char* what = first->error == DrawError::kNotANumber ? "NaN"
                     : first->error == DrawError::kInfinite ? "+inf"
                                                            : "all -inf, nothing is left to draw";
  throw core::FloatingPointError(
      core::text("draw: scores of row ", first->row, " at site ", first->position, " are ", what));
}

}  // namespace genfast::cpu
