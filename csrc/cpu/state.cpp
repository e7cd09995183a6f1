// What a session keeps between sites: reset row by row, thinned out, copied out and put back.
#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "core/hash.h"
#include "cpu/frame.h"

namespace genfast::cpu {

using core::elements;
using core::require;
using program::Kind;

// Of one part.
void Session::fill_border(int buffer, int64_t row_begin, int64_t row_end) {
  const size_t index = static_cast<size_t>(buffer);
  if (executor_->home(index) != index) return;
  const program::Buffer& described = executor_->program().buffers()[index];
  const Layout& layout = layouts_[index];
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
  lay_out(1, 1);
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
  lay_out(1, 1);
  Session next(executor_, static_cast<int64_t>(kept.size()));
  for (size_t to = 0; to < kept.size(); ++to) {
    const size_t from = static_cast<size_t>(kept[to]);
    for (size_t i = 0; i < floats_.size(); ++i) {
      const Layout& layout = layouts_[i];
      for (size_t slot = 0; slot < static_cast<size_t>(layout.slots); ++slot) {
        const size_t stride = static_cast<size_t>(layout.stride);
        const size_t source = (slot * static_cast<size_t>(batch_) + from) * stride;
        const size_t target = (slot * kept.size() + to) * stride;
        if (executor_->home(i) != i) continue;
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
  inputs_.clear();
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
  if (flight_ > 1 || parts_ > 1) {
    Session plain(executor_, batch_);
    for (size_t i = 0; i < layouts_.size(); ++i) copy_kept_to(&plain, i);
    plain.position_ = position_;
    return plain.state();
  }
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
  lay_out(1, 1);
  StateHeader header{};
  if (state.size() >= sizeof header) std::memcpy(&header, state.data(), sizeof header);
  require(
      header.shape == shape_hash() && header.batch == batch_ &&
          state.size() == sizeof header + kept_bytes() && header.position >= 0,
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

// NaN behind every row of the batch, and in all that is read only where it was written before, at
// the same site.
void Session::poison() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (size_t i = 0; i < layouts_.size(); ++i) {
    const Layout& layout = layouts_[i];
    const program::Buffer& buffer = executor_->program().buffers()[i];
    const program::Phase phase =
        executor_->program().instructions()[static_cast<size_t>(buffer.writer)].phase;
    const bool passing = layout.slots == 1 && phase == program::Phase::kSite;
    for (size_t at = 0; at < floats_[i].size(); ++at) {
      const auto column = static_cast<int64_t>(at) % layout.stride;
      if (passing || column >= buffer.width) floats_[i][at] = nan;
    }
  }
}

// Room for `flight` rows of an image begun and not finished, and the batch in parts.
void Session::lay_out(int flight, int parts) {
  if (flight == flight_ && pristine_) parts_ = parts;
  if (flight == flight_ && parts == parts_) return;
  Session other(executor_, batch_, flight, parts);
  for (size_t i = 0; i < layouts_.size(); ++i) {
    other.allocate(i);
    copy_kept_to(&other, i);
    floats_[i] = {};
    symbols_[i] = {};
  }
  floats_ = std::move(other.floats_);
  symbols_ = std::move(other.symbols_);
  layouts_ = std::move(other.layouts_);
  flight_ = flight;
  parts_ = parts;
  frames_.clear();
}

// The rows that somebody still reads, this one too; above the image they hold the border.
void Session::copy_kept_to(Session* other, size_t buffer) const {
  const int64_t y = is_raster() ? position_ / executor_->program().columns() : 0;
  for (int64_t row = 0; row < batch_ && executor_->home(buffer) == buffer; ++row)
    for (int64_t at = y - layouts_[buffer].up; at <= y; ++at) copy_row_to(other, buffer, at, row);
}

void Session::copy_row_to(Session* other, size_t buffer, int64_t y, int64_t row) const {
  const Layout& from = layouts_[buffer];
  const Layout& to = other->layouts_[buffer];
  // A value of one slot a row has room behind it where rows are in flight.
  const int64_t slots = std::min(from.row_slots, to.row_slots);
  for (int64_t slot = 0; slot < slots; ++slot) {
    const int64_t source = offset(from, from.row(y) * from.row_slots + slot, row);
    const int64_t target = other->offset(to, to.row(y) * to.row_slots + slot, row);
    if (symbols_[buffer].size() > 0)
      other->symbols_[buffer][static_cast<size_t>(target)] =
          symbols_[buffer][static_cast<size_t>(source)];
    else
      std::copy_n(
          floats_[buffer].data() + source, from.stride, other->floats_[buffer].data() + target);
  }
}

size_t Session::kept_bytes() const {
  size_t total = 0;
  for (const core::Aligned<float>& buffer : floats_) total += buffer.bytes();
  for (const core::Aligned<int32_t>& buffer : symbols_) total += buffer.bytes();
  return total;
}

// Buffers, and what threads have of their own.
size_t Session::scratch_bytes() const {
  size_t total = kept_bytes();
  for (const Frame& frame : frames_) total += frame.scratch.bytes() + frame.hidden_values.bytes();
  for (const std::vector<core::Aligned<int32_t>>& own : own_symbols_)
    for (const core::Aligned<int32_t>& symbols : own) total += symbols.bytes();
  return total;
}

}  // namespace genfast::cpu
