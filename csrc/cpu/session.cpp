#include "cpu/session.h"

#include <algorithm>

#include "cpu/frame.h"
#include "program/options.h"

namespace genfast::cpu {

using core::elements;
using core::require;
using program::Kind;

Session::Session(std::shared_ptr<const Executor> executor, int64_t batch)
    : executor_(std::move(executor)), batch_(batch) {
  require(
      batch > 0 && batch < (int64_t{1} << 31), "Session: batch must be in [1, 2**31), got ", batch);
  kept_ = std::make_unique<Kept>(executor_, batch, 1, 1);
  const size_t rows = static_cast<size_t>(batch);
  temperature_.assign(rows, 1.0f);
  top_k_.assign(rows, 0);
  top_p_.assign(rows, 1.0f);
}

Session::~Session() = default;

// Pointers that a row of the batch, counted from 0, is added to, as if there were one part.
float* Session::floats(const Frame& frame, const program::Ref& ref, int64_t y, int64_t x) {
  const auto buffer = static_cast<size_t>(ref.buffer);
  const Layout& layout = kept_->layout(buffer);
  const int64_t slot = layout.slot(y + ref.dy, x + ref.dx);
  return kept_->floats(buffer, slot, frame.row_begin) - frame.row_begin * layout.stride;
}

int32_t* Session::symbols(const Frame& frame, const program::Ref& ref, int64_t y, int64_t x) {
  const auto buffer = static_cast<size_t>(ref.buffer);
  const int64_t slot = kept_->layout(buffer).slot(y + ref.dy, x + ref.dx);
  if (barrier_ != nullptr && frame.thread > 0)
    return own_symbols_[static_cast<size_t>(frame.thread) - 1][buffer].data() + slot * batch_;
  return kept_->symbols(buffer, slot, frame.row_begin) - frame.row_begin;
}

void Session::copy_symbols() {
  if (barrier_ == nullptr) return;
  own_symbols_.resize(frames_.size() - 1);
  for (std::vector<core::Aligned<int32_t>>& own : own_symbols_) {
    own.resize(executor_->program().buffers().size());
    for (size_t i = 0; i < own.size(); ++i) {
      if (executor_->program().buffers()[i].kind != Kind::kSym) continue;
      const auto size = static_cast<size_t>(kept_->layout(i).slots * batch_);
      if (own[i].size() != size) own[i] = core::Aligned<int32_t>(size);
      std::copy_n(kept_->symbols(i, 0, 0), size, own[i].data());
    }
  }
}

void Session::options(
    const core::Tensor& temperature,
    const core::Tensor& top_k,
    const core::Tensor& top_p) {
  const Busy busy(busy_);
  const program::Options options =
      program::checked_options(executor_->program(), batch_, temperature, top_k, top_p);
  temperature_.assign(options.temperature, options.temperature + batch_);
  top_k_.assign(options.top_k, options.top_k + batch_);
  top_p_.assign(options.top_p, options.top_p + batch_);
}

void Session::input(int buffer, const core::Tensor& values) {
  const Busy busy(busy_);
  const std::vector<program::Buffer>& buffers = executor_->program().buffers();
  require(buffer >= 0 && buffer < static_cast<int>(buffers.size()), "input: no buffer ", buffer);
  const program::Buffer& target = buffers[static_cast<size_t>(buffer)];
  const program::Op op = executor_->program().instructions()[static_cast<size_t>(target.writer)].op;
  require(op == program::Op::kInput, "input: ", target.name, " is not an input");
  if (target.kind == Kind::kF32) {
    const float* from = elements<const float>(values, target.name.c_str(), {batch_, target.width});
    for (int64_t row = 0; row < batch_; ++row)
      std::copy_n(
          from + row * target.width, target.width,
          kept_->floats(static_cast<size_t>(buffer), 0, row));
  } else {
    const int64_t* from = elements<const int64_t>(values, target.name.c_str(), {batch_});
    for (int64_t row = 0; row < batch_; ++row)
      require(
          from[row] >= 0 && from[row] <= target.vocabulary, target.name, " must be in [0, ",
          target.vocabulary, "], got ", from[row], " in row ", row);
    for (int64_t row = 0; row < batch_; ++row)
      *kept_->symbols(static_cast<size_t>(buffer), 0, row) = static_cast<int32_t>(from[row]);
  }
  started_ = false;
}

void Session::bind(
    const core::Tensor& uniforms,
    const core::Tensor& values,
    const core::Tensor* forced,
    const core::Tensor* scores,
    const core::Tensor* log_probs) {
  const Busy busy(busy_);
  const program::Program& program = executor_->program();
  Bound bound;
  bound.uniforms = elements<const float>(uniforms, "uniforms", {batch_, -1, program.uniforms()});
  bound.columns = uniforms.shape[1];
  const std::vector<int64_t> shape = {batch_, bound.columns, program.values()};
  bound.values = elements<int64_t>(values, "values", shape);
  if (forced != nullptr) bound.forced = elements<const int64_t>(*forced, "forced", shape);
  if (log_probs != nullptr)
    bound.log_probs =
        elements<float>(*log_probs, "log_probs", {batch_, bound.columns, program.draws()});
  if (scores != nullptr) bind_scores(bound, *scores);
  bound_ = bound;
  inputs_.clear();
}

void Session::bind_inputs(const std::map<int, core::Tensor>& inputs) {
  const Busy busy(busy_);
  const program::Program& program = executor_->program();
  std::map<int, const float*> found;
  for (const auto& [buffer, values] : inputs) {
    require(
        buffer >= 0 && buffer < static_cast<int>(program.buffers().size()), "inputs: no buffer ",
        buffer);
    const program::Buffer& target = program.buffers()[static_cast<size_t>(buffer)];
    const program::Instruction& writer = program.instructions()[static_cast<size_t>(target.writer)];
    require(
        writer.op == program::Op::kInput && writer.phase == program::Phase::kRow,
        "inputs: ", target.name, " is not an input known ahead of each row");
    const std::string name = "inputs: " + target.name;
    found[buffer] =
        elements<const float>(values, name.c_str(), {batch_, bound_.columns, target.width});
  }
  inputs_ = std::move(found);
}

// [N, C, d, p]; the d of a single draw may be left out.
void Session::bind_scores(Bound& bound, const core::Tensor& scores) const {
  const program::Program& program = executor_->program();
  for (const program::Instruction& draw : program.instructions()) {
    if (draw.op != program::Op::kDraw) continue;
    const int64_t width = program.buffers()[static_cast<size_t>(draw.scores.buffer)].width;
    require(
        bound.parameters == 0 || bound.parameters == width,
        "scores: the draws of a site must have as many parameters each, got ", bound.parameters,
        " and ", width);
    bound.parameters = width;
  }
  std::vector<int64_t> shape = {batch_, bound.columns, program.draws(), bound.parameters};
  if (program.draws() == 1 && scores.shape.size() == 3) shape.erase(shape.begin() + 2);
  bound.scores = elements<float>(scores, "scores", shape);
}

void Session::check_advance(int64_t first, int64_t count, int threads) const {
  require(threads >= 1, "advance: threads must be at least 1, got ", threads);
  require(bound_.uniforms != nullptr || count == 0, "advance: bind arrays first");
  require(
      first >= 0 && count >= 0 && count <= bound_.columns - first, "advance: sites [", first, ", ",
      first, " + ", count, ") must lie in the ", bound_.columns, " bound columns");
  const program::Program& program = executor_->program();
  const bool raster = program.order() == program::Order::kRaster;
  require(
      !raster || position_ + count <= program.rows() * program.columns(), "advance: ", count,
      " sites from site ", position_, " on leave the image of ",
      program.rows() * program.columns());
  if (count > 0) check_inputs(first, count);
  if (failed_)
    throw std::runtime_error("Session: a draw failed; restore a state or make a new session");
  if (bound_.forced != nullptr) check_forced(first, count);
}

// Inputs known ahead of a row are read when the row begins, all of it.
void Session::check_inputs(int64_t first, int64_t count) const {
  const program::Program& program = executor_->program();
  bool any = false;
  for (const program::Instruction& instruction : program.instructions()) {
    if (instruction.op != program::Op::kInput || instruction.phase != program::Phase::kRow)
      continue;
    any = true;
    require(
        inputs_.count(instruction.targets[0]) > 0, "advance: bind the input ",
        program.buffers()[static_cast<size_t>(instruction.targets[0])].name, " first");
  }
  if (!any || !is_raster()) return;
  const int64_t columns = program.columns();
  const int64_t last_row = (position_ + count - 1) / columns * columns;
  require(
      last_row < position_ || first + last_row - position_ + columns <= bound_.columns,
      "advance: the row of ", columns, " sites that begins at site ", last_row, " must lie in the ",
      bound_.columns, " bound columns, for its inputs are read at once");
}

void Session::check_forced(int64_t first, int64_t count) const {
  for (const program::Instruction& draw : executor_->program().instructions()) {
    if (draw.op != program::Op::kDraw) continue;
    for (int64_t row = 0; row < batch_; ++row)
      for (int64_t site = first; site < first + count; ++site)
        check_forced(draw, row, site, position_ + site - first);
  }
}

// What one draw gives is forced as a whole.
void Session::check_forced(
    const program::Instruction& draw,
    int64_t row,
    int64_t column,
    int64_t site) const {
  const program::Program& program = executor_->program();
  const int64_t classes = program.buffers()[static_cast<size_t>(draw.targets[0])].vocabulary;
  const int64_t* values =
      bound_.forced + (row * bound_.columns + column) * program.values() + draw.first_value;
  for (size_t i = 0; i < draw.targets.size(); ++i) {
    require(
        values[i] >= -1 && values[i] < classes, "forced must be in [0, ", classes,
        "), or -1 to draw, got ", values[i], " in row ", row, " at site ", site);
    require(
        (values[i] < 0) == (values[0] < 0), "forced must hold all ", draw.targets.size(),
        " values of a draw or none, got ", values[i], " beside ", values[0], " in row ", row,
        " at site ", site);
  }
}

}  // namespace genfast::cpu
