#include "cpu/kept.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "core/thread_pool.h"

namespace genfast::cpu {
namespace {

constexpr size_t kLine = 16;     // words
constexpr size_t kApart = 2048;  // words between two parts: what no core fetches ahead

size_t whole_lines(size_t words) { return (words + kLine - 1) / kLine * kLine; }

}  // namespace

Kept::Kept(std::shared_ptr<const Executor> executor, int64_t batch, int flight, int parts)
    : executor_(std::move(executor)),
      batch_(batch),
      flight_(flight),
      parts_(parts),
      layouts_(executor_->layouts(flight)) {
  lay_out();
  block_ = executor_->reserve().take(bytes());
  for (size_t i = 0; i < layouts_.size(); ++i)
    if (is_start(i)) fill(i, begins_[0][i], words(i, batch_));
}

Kept::~Kept() { executor_->reserve().give(std::move(block_)); }

bool Kept::is_start(size_t buffer) const {
  const program::Program& program = executor_->program();
  const auto writer = static_cast<size_t>(program.buffers()[buffer].writer);
  return program.instructions()[writer].phase == program::Phase::kStart;
}

bool Kept::is_symbols(size_t buffer) const {
  return executor_->program().buffers()[buffer].kind == program::Kind::kSym;
}

Kept::Rows Kept::rows_of(int part) const {
  return {batch_ * part / parts_, batch_ * (part + 1) / parts_};
}

int Kept::part_of(int64_t row) const {
  int part = 0;
  while (row >= rows_of(part).end) ++part;
  return part;
}

size_t Kept::words(size_t buffer, int64_t rows) const {
  const Layout& layout = layouts_[buffer];
  // A whole vector may be loaded behind the last row.
  const size_t behind = is_symbols(buffer) ? 0 : 16;
  return static_cast<size_t>(layout.slots * rows * layout.stride) + behind;
}

void Kept::lay_out() {
  const auto place = [&](size_t buffer, int64_t rows) {
    return std::exchange(words_, words_ + whole_lines(words(buffer, rows)));
  };
  std::vector<size_t> begins(layouts_.size(), 0);
  for (size_t i = 0; i < layouts_.size(); ++i)
    if (is_start(i)) begins[i] = place(i, batch_);
  for (int part = 0; part < parts_; ++part) {
    if (part > 0) words_ += kApart;
    const Rows rows = rows_of(part);
    for (size_t i = 0; i < layouts_.size(); ++i)
      if (!is_start(i) && owns(i)) begins[i] = place(i, rows.end - rows.begin);
    begins_.push_back(begins);
  }
}

size_t Kept::offset(size_t buffer, int64_t slot, int64_t row) const {
  const Layout& layout = layouts_[buffer];
  const int part = part_of(row);
  const Rows rows = is_start(buffer) ? Rows{0, batch_} : rows_of(part);
  const int64_t place = slot * (rows.end - rows.begin) + row - rows.begin;
  return begins_[static_cast<size_t>(part)][buffer] + static_cast<size_t>(place * layout.stride);
}

void Kept::fill(size_t buffer, size_t begin, size_t count) {
  if (!is_symbols(buffer)) {
    std::memset(static_cast<float*>(block_.data()) + begin, 0, count * sizeof(float));
    return;
  }
  const int64_t outside = executor_->program().buffers()[buffer].vocabulary;
  std::fill_n(static_cast<int32_t*>(block_.data()) + begin, count, static_cast<int32_t>(outside));
}

void Kept::clear() {
  if (cleared_) return;
  cleared_ = true;
  core::ThreadPool::instance().run(parts_, [&](int part) { clear_part(part); });
}

void Kept::clear_part(int part) {
  const Rows rows = rows_of(part);
  for (size_t i = 0; i < layouts_.size(); ++i)
    if (!is_start(i) && owns(i))
      fill(i, begins_[static_cast<size_t>(part)][i], words(i, rows.end - rows.begin));
}

void Kept::clear_rows(size_t buffer, int64_t row_begin, int64_t row_end) {
  const Layout& layout = layouts_[buffer];
  if (is_start(buffer) || !owns(buffer)) return;
  for (int64_t slot = 0; slot < layout.slots; ++slot)
    for (int64_t row = row_begin; row < row_end; ++row)
      fill(buffer, offset(buffer, slot, row), static_cast<size_t>(layout.stride));
}

void Kept::copy(const Kept& from, int64_t y) {
  const auto* source = static_cast<const float*>(from.block_.data());
  auto* target = static_cast<float*>(block_.data());
  const auto copy_row = [&](size_t i, int64_t source_slot, int64_t slot, int64_t row) {
    std::memcpy(
        target + offset(i, slot, row), source + from.offset(i, source_slot, row),
        static_cast<size_t>(layouts_[i].stride) * sizeof(float));
  };
  if (from.cleared_) clear();
  for (size_t i = 0; i < layouts_.size(); ++i) {
    if (!owns(i) || (!from.cleared_ && !is_start(i))) continue;
    const Layout& old = from.layouts_[i];
    const Layout& now = layouts_[i];
    // A value of one slot a row has room behind it where rows are in flight.
    const int64_t slots = std::min(old.row_slots, now.row_slots);
    for (int64_t row = 0; row < batch_; ++row)
      for (int64_t at = y - now.up; at <= y; ++at)
        for (int64_t slot = 0; slot < slots; ++slot)
          copy_row(i, old.row(at) * old.row_slots + slot, now.row(at) * now.row_slots + slot, row);
  }
}

void Kept::copy_rows(const Kept& from, std::span<const int64_t> rows) {
  cleared_ = true;
  const auto* source = static_cast<const float*>(from.block_.data());
  auto* target = static_cast<float*>(block_.data());
  for (size_t i = 0; i < layouts_.size(); ++i) {
    if (!owns(i)) continue;
    const auto stride = static_cast<size_t>(layouts_[i].stride);
    for (int64_t slot = 0; slot < layouts_[i].slots; ++slot)
      for (size_t row = 0; row < rows.size(); ++row)
        std::memcpy(
            target + offset(i, slot, static_cast<int64_t>(row)),
            source + from.offset(i, slot, rows[row]), stride * sizeof(float));
  }
}

void Kept::poison() {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (size_t i = 0; i < layouts_.size(); ++i) {
    const Layout& layout = layouts_[i];
    if (!owns(i) || is_symbols(i)) continue;
    const program::Buffer& buffer = executor_->program().buffers()[i];
    const program::Phase phase =
        executor_->program().instructions()[static_cast<size_t>(buffer.writer)].phase;
    const bool passing = layout.slots == 1 && phase == program::Phase::kSite;
    for (int64_t slot = 0; slot < layout.slots; ++slot)
      for (int64_t row = 0; row < batch_; ++row) {
        float* values = floats(i, slot, row);
        std::fill(values + (passing ? 0 : buffer.width), values + layout.stride, nan);
      }
    for (int part = 0; part < parts_; ++part) {
      const int64_t last = is_start(i) ? batch_ - 1 : rows_of(part).end - 1;
      std::fill_n(floats(i, layout.slots - 1, last) + layout.stride, 16, nan);
    }
  }
}

size_t Kept::state_bytes() const {
  size_t total = 0;
  for (size_t i = 0; i < layouts_.size(); ++i)
    if (owns(i)) total += words(i, batch_) * sizeof(float);
  return total;
}

void Kept::save(std::string* state) const {
  for (const bool symbols : {false, true})
    for (size_t i = 0; i < layouts_.size(); ++i)
      if (owns(i) && is_symbols(i) == symbols)
        state->append(
            static_cast<const char*>(block_.data()) + begins_[0][i] * sizeof(float),
            words(i, batch_) * sizeof(float));
}

void Kept::load(const char* state) {
  cleared_ = true;
  for (const bool symbols : {false, true})
    for (size_t i = 0; i < layouts_.size(); ++i) {
      if (!owns(i) || is_symbols(i) != symbols) continue;
      const size_t size = words(i, batch_);
      std::memcpy(
          static_cast<char*>(block_.data()) + begins_[0][i] * sizeof(float), state,
          size * sizeof(float));
      state += size * sizeof(float);
      // A symbol chooses a row of a table: whatever a state holds, the row exists.
      const auto most = static_cast<int32_t>(executor_->program().buffers()[i].vocabulary);
      int32_t* values = static_cast<int32_t*>(block_.data()) + begins_[0][i];
      for (size_t at = 0; symbols && at < size; ++at) values[at] = std::clamp(values[at], 0, most);
    }
}

}  // namespace genfast::cpu
