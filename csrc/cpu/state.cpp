// What a session keeps between sites: reset row by row, thinned out, copied out and put back.
#include <cstring>
#include <set>

#include "core/hash.h"
#include "cpu/frame.h"

namespace genfast::cpu {

using core::elements;
using core::require;

namespace {

template <typename T>
std::vector<T> chosen(const std::vector<T>& all, const std::vector<int64_t>& rows) {
  std::vector<T> some;
  for (const int64_t row : rows) some.push_back(all[static_cast<size_t>(row)]);
  return some;
}

}  // namespace

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
  const std::vector<int64_t> numbers = checked_rows(rows);
  lay_out(1, 1);
  kept_->clear();
  for (const int64_t row : numbers)
    for (size_t i = 0; i < program.buffers().size(); ++i) kept_->clear_rows(i, row, row + 1);
  const std::set<int64_t> distinct(numbers.begin(), numbers.end());
  failed_ = failed_ && static_cast<int64_t>(distinct.size()) < batch_;
}

void Session::select(const core::Tensor& rows) {
  const Busy busy(busy_);
  const std::vector<int64_t> kept = checked_rows(rows);
  require(!kept.empty(), "select: rows must name at least one row");
  lay_out(1, 1);
  kept_->clear();
  auto next = std::make_unique<Kept>(executor_, static_cast<int64_t>(kept.size()), 1, 1);
  next->copy_rows(*kept_, kept);
  kept_ = std::move(next);
  batch_ = static_cast<int64_t>(kept.size());
  temperature_ = chosen(temperature_, kept);
  top_k_ = chosen(top_k_, kept);
  top_p_ = chosen(top_p_, kept);
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
  const StateHeader header{shape_hash(), batch_, position_};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  kept_->clear();
  if (kept_->flight() == 1 && kept_->parts() == 1) {
    kept_->save(&bytes);
    return bytes;
  }
  Kept plain(executor_, batch_, 1, 1);
  plain.copy(*kept_, row_of_image());
  plain.save(&bytes);
  return bytes;
}

void Session::restore(const std::string& state) {
  const Busy busy(busy_);
  lay_out(1, 1);
  StateHeader header{};
  if (state.size() >= sizeof header) std::memcpy(&header, state.data(), sizeof header);
  require(
      header.shape == shape_hash() && header.batch == batch_ &&
          state.size() == sizeof header + kept_->state_bytes() && header.position >= 0,
      "restore: state must be one of this program, of a batch of ", batch_, ", got ", state.size(),
      " other bytes");
  kept_->load(state.data() + sizeof header);
  position_ = header.position;
  started_ = false;
  failed_ = false;
}

void Session::poison() {
  kept_->clear();
  kept_->poison();
}

// Room for `flight` rows of an image begun and not finished, and the batch in parts.
void Session::lay_out(int flight, int parts) {
  if (flight == kept_->flight() && parts == kept_->parts()) return;
  auto other = std::make_unique<Kept>(executor_, batch_, flight, parts);
  other->copy(*kept_, row_of_image());
  kept_ = std::move(other);
  frames_.clear();
}

int64_t Session::row_of_image() const {
  return is_raster() ? position_ / executor_->program().columns() : 0;
}

// Buffers, and what threads have of their own.
size_t Session::scratch_bytes() const {
  size_t total = kept_->bytes();
  for (const Frame& frame : frames_) total += frame.scratch.bytes() + frame.hidden_values.bytes();
  for (const std::vector<core::Aligned<int32_t>>& own : own_symbols_)
    for (const core::Aligned<int32_t>& symbols : own) total += symbols.bytes();
  return total;
}

}  // namespace genfast::cpu
