#include "cpu/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "core/hash.h"
#include "cpu/frame.h"

namespace genfast::cpu {

using core::elements;
using core::require;
using program::Kind;

Session::Session(std::shared_ptr<const Executor> executor, int64_t batch)
    : executor_(std::move(executor)), batch_(batch) {
  require(
      batch > 0 && batch < (int64_t{1} << 31), "Session: batch must be in [1, 2**31), got ", batch);
  const std::vector<program::Buffer>& buffers = executor_->program().buffers();
  for (size_t i = 0; i < buffers.size(); ++i) {
    const Layout& layout = executor_->layouts()[i];
    const size_t size = static_cast<size_t>(layout.slots * batch * layout.stride);
    // A whole vector may be loaded behind the last row.
    floats_.emplace_back(buffers[i].kind == Kind::kF32 ? size + 16 : 0);
    symbols_.emplace_back(buffers[i].kind == Kind::kSym ? size : 0);
    fill_border(static_cast<int>(i), 0, batch);
  }
  const size_t rows = static_cast<size_t>(batch);
  temperature_.assign(rows, 1.0f);
  top_k_.assign(rows, 0);
  top_p_.assign(rows, 1.0f);
}

Session::~Session() = default;

float* Session::floats(const program::Ref& ref, int64_t y, int64_t x) {
  const size_t buffer = static_cast<size_t>(ref.buffer);
  const Layout& layout = executor_->layouts()[buffer];
  return floats_[buffer].data() + layout.slot(y + ref.dy, x + ref.dx) * batch_ * layout.stride;
}

int32_t* Session::symbols(const program::Ref& ref, int64_t y, int64_t x) {
  const size_t buffer = static_cast<size_t>(ref.buffer);
  return symbols_[buffer].data() +
         executor_->layouts()[buffer].slot(y + ref.dy, x + ref.dx) * batch_;
}

void Session::fill_border(int buffer, int64_t row_begin, int64_t row_end) {
  const size_t index = static_cast<size_t>(buffer);
  const program::Buffer& described = executor_->program().buffers()[index];
  const Layout& layout = executor_->layouts()[index];
  for (int64_t slot = 0; slot < layout.slots; ++slot) {
    const int64_t begin = (slot * batch_ + row_begin) * layout.stride;
    const int64_t end = (slot * batch_ + row_end) * layout.stride;
    if (described.kind == Kind::kF32)
      std::fill(floats_[index].data() + begin, floats_[index].data() + end, 0.0f);
    else
      std::fill(
          symbols_[index].data() + begin, symbols_[index].data() + end,
          static_cast<int32_t>(described.vocabulary));
  }
}

void Session::options(
    const core::Tensor& temperature,
    const core::Tensor& top_k,
    const core::Tensor& top_p) {
  const Busy busy(busy_);
  const float* temperatures = elements<const float>(temperature, "temperature", {batch_});
  const int64_t* ks = elements<const int64_t>(top_k, "top_k", {batch_});
  const float* ps = elements<const float>(top_p, "top_p", {batch_});
  for (int64_t row = 0; row < batch_; ++row) {
    require(
        temperatures[row] >= 0.0f && std::isfinite(temperatures[row]),
        "temperature must be finite and at least 0, got ", temperatures[row], " in row ", row);
    require(ks[row] >= 0, "top_k must be at least 1, or 0 for off, got ", ks[row], " in row ", row);
    require(
        ps[row] > 0.0f && ps[row] <= 1.0f, "top_p must be in (0, 1], got ", ps[row], " in row ",
        row);
  }
  temperature_.assign(temperatures, temperatures + batch_);
  top_k_.assign(ks, ks + batch_);
  top_p_.assign(ps, ps + batch_);
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
    const int64_t stride = executor_->layouts()[static_cast<size_t>(buffer)].stride;
    for (int64_t row = 0; row < batch_; ++row)
      std::copy_n(
          from + row * target.width, target.width,
          floats_[static_cast<size_t>(buffer)].data() + row * stride);
  } else {
    const int64_t* from = elements<const int64_t>(values, target.name.c_str(), {batch_});
    for (int64_t row = 0; row < batch_; ++row)
      require(
          from[row] >= 0 && from[row] <= target.vocabulary, target.name, " must be in [0, ",
          target.vocabulary, "], got ", from[row], " in row ", row);
    for (int64_t row = 0; row < batch_; ++row)
      symbols_[static_cast<size_t>(buffer)][static_cast<size_t>(row)] =
          static_cast<int32_t>(from[row]);
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
  const int64_t draws = executor_->draws();
  Bound bound;
  bound.draws = draws;
  bound.uniforms = elements<const float>(uniforms, "uniforms", {batch_, -1, draws});
  bound.columns = uniforms.shape[1];
  const std::vector<int64_t> shape = {batch_, bound.columns, draws};
  bound.values = elements<int64_t>(values, "values", shape);
  if (forced != nullptr) bound.forced = elements<const int64_t>(*forced, "forced", shape);
  if (log_probs != nullptr) bound.log_probs = elements<float>(*log_probs, "log_probs", shape);
  if (scores != nullptr) {
    require(draws == 1, "scores: a program of one draw a site has them, this one has ", draws);
    for (const program::Instruction& instruction : executor_->program().instructions())
      if (instruction.op == program::Op::kDraw)
        bound.classes =
            executor_->program().buffers()[static_cast<size_t>(instruction.targets[0])].vocabulary;
    bound.scores = elements<float>(*scores, "scores", {batch_, bound.columns, bound.classes});
  }
  bound_ = bound;
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
  if (failed_)
    throw std::runtime_error("Session: a draw failed; restore a state or make a new session");
  if (bound_.forced != nullptr) check_forced(first, count);
}

void Session::check_forced(int64_t first, int64_t count) const {
  int64_t draw = 0;
  for (const program::Instruction& instruction : executor_->program().instructions()) {
    if (instruction.op != program::Op::kDraw) continue;
    const int64_t classes =
        executor_->program().buffers()[static_cast<size_t>(instruction.targets[0])].vocabulary;
    for (int64_t row = 0; row < batch_; ++row)
      for (int64_t site = first; site < first + count; ++site) {
        const int64_t value = bound_.forced[(row * bound_.columns + site) * bound_.draws + draw];
        require(
            value >= -1 && value < classes, "forced must be in [0, ", classes,
            "), or -1 to draw, got ", value, " in row ", row, " at site ",
            position_ + site - first);
      }
    ++draw;
  }
}

std::vector<int64_t> Session::checked_rows(const core::Tensor& rows) const {
  const int64_t* numbers = elements<const int64_t>(rows, "rows", {-1});
  for (int64_t i = 0; i < rows.size(); ++i)
    require(
        numbers[i] >= 0 && numbers[i] < batch_, "rows must be in [0, ", batch_, "), got ",
        numbers[i]);
  return {numbers, numbers + rows.size()};
}

void Session::reset(const core::Tensor& rows) {
  const Busy busy(busy_);
  const program::Program& program = executor_->program();
  require(
      program.order() == program::Order::kSequence || position_ == 0,
      "reset: the images of a batch move in lockstep; make a new session");
  const std::vector<int64_t> chosen = checked_rows(rows);
  for (const int64_t row : chosen)
    for (size_t i = 0; i < program.buffers().size(); ++i) {
      const program::Instruction& writer =
          program.instructions()[static_cast<size_t>(program.buffers()[i].writer)];
      if (writer.phase != program::Phase::kStart) fill_border(static_cast<int>(i), row, row + 1);
    }
  const std::set<int64_t> distinct(chosen.begin(), chosen.end());
  failed_ = failed_ && static_cast<int64_t>(distinct.size()) < batch_;
}

void Session::select(const core::Tensor& rows) {
  const Busy busy(busy_);
  const std::vector<int64_t> kept = checked_rows(rows);
  require(!kept.empty(), "select: rows must name at least one row");
  Session next(executor_, static_cast<int64_t>(kept.size()));
  for (size_t to = 0; to < kept.size(); ++to) {
    const size_t from = static_cast<size_t>(kept[to]);
    for (size_t i = 0; i < floats_.size(); ++i) {
      const Layout& layout = executor_->layouts()[i];
      for (size_t slot = 0; slot < static_cast<size_t>(layout.slots); ++slot) {
        const size_t stride = static_cast<size_t>(layout.stride);
        const size_t source = (slot * static_cast<size_t>(batch_) + from) * stride;
        const size_t target = (slot * kept.size() + to) * stride;
        if (symbols_[i].size() > 0)
          next.symbols_[i][target] = symbols_[i][source];
        else
          std::copy_n(floats_[i].data() + source, stride, next.floats_[i].data() + target);
      }
    }
    next.temperature_[to] = temperature_[from];
    next.top_k_[to] = top_k_[from];
    next.top_p_[to] = top_p_[from];
  }
  batch_ = next.batch_;
  floats_ = std::move(next.floats_);
  symbols_ = std::move(next.symbols_);
  temperature_ = std::move(next.temperature_);
  top_k_ = std::move(next.top_k_);
  top_p_ = std::move(next.top_p_);
  bound_ = Bound{};
  frames_.clear();
}

// What a state must agree on, before the buffers as they lie.
struct Session::StateHeader {
  uint64_t shape;  // of the program's buffers
  int64_t batch;
  int64_t position;
};

uint64_t Session::shape_hash() const {
  std::string text = "genfast session 1";
  for (const program::Buffer& buffer : executor_->program().buffers())
    text += core::text(";", buffer.name, ",", buffer.width, ",", buffer.vocabulary);
  core::Tensor bytes;
  bytes.data = text.data();
  bytes.item_bytes = 1;
  bytes.shape = {static_cast<int64_t>(text.size())};
  return core::weight_hash({bytes});
}

std::string Session::state() const {
  const Busy busy(busy_);
  if (failed_) throw std::runtime_error("Session: a draw failed; there is no state to keep");
  const StateHeader header{shape_hash(), batch_, position_};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  for (const core::Aligned<float>& buffer : floats_)
    bytes.append(reinterpret_cast<const char*>(buffer.data()), buffer.bytes());
  for (const core::Aligned<int32_t>& buffer : symbols_)
    bytes.append(reinterpret_cast<const char*>(buffer.data()), buffer.bytes());
  return bytes;
}

void Session::restore(const std::string& state) {
  const Busy busy(busy_);
  StateHeader header{};
  if (state.size() >= sizeof header) std::memcpy(&header, state.data(), sizeof header);
  require(
      header.shape == shape_hash() && header.batch == batch_ &&
          state.size() == sizeof header + scratch_bytes() && header.position >= 0,
      "restore: state must be one of this program, of a batch of ", batch_, ", got ", state.size(),
      " other bytes");
  const char* from = state.data() + sizeof header;
  const auto take = [&from](void* to, size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
    from += bytes;
  };
  for (core::Aligned<float>& buffer : floats_) take(buffer.data(), buffer.bytes());
  for (core::Aligned<int32_t>& buffer : symbols_) take(buffer.data(), buffer.bytes());
  clamp_symbols();
  position_ = header.position;
  started_ = false;
  failed_ = false;
}

// A symbol chooses a row of a table: whatever a state holds, the row exists.
void Session::clamp_symbols() {
  for (size_t i = 0; i < symbols_.size(); ++i) {
    const auto most = static_cast<int32_t>(executor_->program().buffers()[i].vocabulary);
    for (size_t s = 0; s < symbols_[i].size(); ++s)
      symbols_[i][s] = std::clamp(symbols_[i][s], 0, most);
  }
}

size_t Session::scratch_bytes() const {
  size_t total = 0;
  for (const core::Aligned<float>& buffer : floats_) total += buffer.bytes();
  for (const core::Aligned<int32_t>& buffer : symbols_) total += buffer.bytes();
  return total;
}

}  // namespace genfast::cpu
