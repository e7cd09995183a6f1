// Draws of a site: what the kernel is given, what the caller sees, and what went wrong.
#include <algorithm>

#include "cpu/frame.h"

namespace genfast::cpu {

// Where threads split panels, each draws every row, into symbols of its own: cheaper than to meet
// once more. The first writes what the caller sees.
bool Session::draw(Frame& frame, size_t index, Column column, int64_t y, int64_t x) {
  const bool shows = barrier_ == nullptr || frame.thread == 0;
  const program::Program& program = executor_->program();
  const program::Instruction& draw = program.instructions()[index];
  const program::Ref& scores = draw.scores;
  const auto channels = static_cast<int64_t>(draw.targets.size());
  const int64_t value = column.index * program.values() + draw.first_value;
  DrawArgs args{};
  args.scores = floats(frame, scores, y, x);
  args.scores_stride = kept_->layout(static_cast<size_t>(scores.buffer)).stride;
  args.classes =
      static_cast<int32_t>(program.buffers()[static_cast<size_t>(draw.targets[0])].vocabulary);
  args.mixtures = static_cast<int32_t>(draw.choices);
  args.channels = static_cast<int32_t>(channels);
  args.uniforms = bound_.uniforms + column.index * program.uniforms() + draw.first_uniform;
  args.uniforms_stride = bound_.columns * program.uniforms();
  args.forced = bound_.forced == nullptr ? nullptr : bound_.forced + value;
  args.forced_stride = bound_.columns * program.values();
  args.values = shows ? bound_.values + value : frame.hidden_values.data();
  args.values_stride = shows ? bound_.columns * program.values() : channels;
  if (shows && bound_.log_probs != nullptr)
    args.log_probs = bound_.log_probs + column.index * program.draws() + draw.number;
  args.log_probs_stride = bound_.columns * program.draws();
  args.temperature = temperature_.data();
  args.top_k = top_k_.data();
  args.top_p = top_p_.data();
  for (size_t c = 0; c < draw.targets.size(); ++c)
    args.symbols[c] = symbols(frame, {draw.targets[c], 0, 0}, y, x);
  args.row_begin = frame.row_begin;
  args.row_end = frame.row_end;
  args.scratch = frame.scratch.data();
  if (shows && bound_.scores != nullptr) copy_scores(draw, args, column.index);
  if (draw.head == program::Head::kCategorical)
    executor_->kernels().draw_categorical(args);
  else
    executor_->kernels().draw_logistic_mixture(args);
  if (args.error == DrawError::kNone) return true;
  if (frame.failure.error == DrawError::kNone || column.position < frame.failure.position)
    frame.failure = {args.error, column.position, args.error_row};
  return false;
}

void Session::copy_scores(const program::Instruction& draw, const DrawArgs& args, int64_t column) {
  for (int64_t row = args.row_begin; row < args.row_end; ++row) {
    const float* from = args.scores + row * args.scores_stride;
    const int64_t place =
        (row * bound_.columns + column) * executor_->program().draws() + draw.number;
    std::copy(from, from + bound_.parameters, bound_.scores + place * bound_.parameters);
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
  const auto what = [first] {
    switch (first->error) {
      case DrawError::kNotANumber: return "NaN";
      case DrawError::kInfinite: return "+inf";
      case DrawError::kNotFinite: return "infinite";
      default: return "all -inf, nothing is left to draw";
    }
  };
  throw core::FloatingPointError(
      core::text(
          "draw: scores of row ", first->row, " at site ", first->position, " are ", what()));
}

}  // namespace genfast::cpu
