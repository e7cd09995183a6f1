// The memory of a session's buffers.
//
//   start      [buffer | buffer | ...]   what no site changes, of all rows of the batch
//   part 0     [buffer | buffer | ...]   rows of the batch that thread 0 draws,
//   part 1     [buffer | buffer | ...]   and those of thread 1, on pages of their own
//
// A thread that finds its rows beside another's would fetch those ahead, which the other writes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/reserve.h"
#include "cpu/executor.h"

namespace genfast::cpu {

class Kept {
 public:
  // flight: rows of an image begun and not finished, for which there is room. The buffers of the
  // parts hold anything until `clear`.
  Kept(std::shared_ptr<const Executor> executor, int64_t batch, int flight, int parts);
  ~Kept();
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  int flight() const { return flight_; }
  int parts() const { return parts_; }
  const Layout& layout(size_t buffer) const { return layouts_[buffer]; }
  bool cleared() const { return cleared_; }
  size_t bytes() const { return words_ * sizeof(float); }

  // Unless it was done: everything a border, zeros and symbols outside of the image. By as many
  // threads as there are parts.
  void clear();

  // Row `row` of the batch in a slot. The rows of its part follow each other, stride by stride.
  float* floats(size_t buffer, int64_t slot, int64_t row) const {
    return static_cast<float*>(block_.data()) + offset(executor_->home(buffer), slot, row);
  }
  int32_t* symbols(size_t buffer, int64_t slot, int64_t row) const {
    return static_cast<int32_t*>(block_.data()) + offset(buffer, slot, row);
  }

  // Of a buffer, all slots of some rows of the batch.
  void clear_rows(size_t buffer, int64_t row_begin, int64_t row_end);
  // From memory laid out otherwise: what the start phase gives and, if that is cleared, the rows of
  // the image that somebody still reads at row y, above the image the border.
  void copy(const Kept& from, int64_t y);
  // Rows of the batch, which may repeat: of memory laid out alike.
  void copy_rows(const Kept& from, std::span<const int64_t> rows);
  // NaN behind every row of the batch, and in all that is read only where it was written before, at
  // the same site.
  void poison();

  // Of one part: the buffers as they lie, those of floats first.
  size_t state_bytes() const;
  void save(std::string* state) const;
  void load(const char* state);

 private:
  bool is_start(size_t buffer) const;
  bool is_symbols(size_t buffer) const;
  bool owns(size_t buffer) const { return executor_->home(buffer) == buffer; }
  // Rows of the batch in a buffer's memory at one place.
  struct Rows {
    int64_t begin;
    int64_t end;
  };
  Rows rows_of(int part) const;
  int part_of(int64_t row) const;
  size_t words(size_t buffer, int64_t rows) const;
  size_t offset(size_t buffer, int64_t slot, int64_t row) const;
  void lay_out();
  void clear_part(int part);
  void fill(size_t buffer, size_t begin, size_t count);

  std::shared_ptr<const Executor> executor_;
  int64_t batch_;
  int flight_;
  int parts_;
  std::vector<Layout> layouts_;
  std::vector<std::vector<size_t>> begins_;  // [part][buffer], in words; of start buffers alike
  size_t words_ = 0;
  core::Block block_;
  bool cleared_ = false;
};

}  // namespace genfast::cpu
