// A finished program, packed for one instruction set, with the plan of where its buffers lie.
// Sessions share it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/reserve.h"
#include "cpu/homes.h"
#include "cpu/lags.h"
#include "cpu/packing.h"
#include "program/program.h"

namespace genfast::cpu {

// Where the values of one buffer lie: slots of [batch][stride], one for each site that somebody
// still reads.
//
//   sequence   a ring of columns
//   raster     a ring of rows: of one slot where nobody looks beyond the site, else
//              [left border | columns | right border], so that no reader needs a branch
//   start      one slot
//
// Above the image a reader meets slots that hold the border until its own row reaches them.
struct Layout {
  int32_t ring_rows = 1;
  int32_t column_mask = 0;  // ring of columns, a power of two, less one; 0: one slot; -1: one each
  int32_t row_slots = 1;    // slots of one row
  int32_t left = 0;         // border columns before column 0
  int32_t up = 0;           // earlier rows that somebody reads
  int32_t slots = 1;
  int64_t stride = 0;  // floats a row of the batch; symbols: 1

  int64_t slot(int64_t y, int64_t x) const { return row(y) * row_slots + left + (x & column_mask); }
  // Where a row lies in the ring; those above the image have places, too.
  int64_t row(int64_t y) const {
    const int64_t rest = y % ring_rows;
    return rest < 0 ? rest + ring_rows : rest;
  }
  bool raster_columns() const { return column_mask == -1; }
};

class Executor {
 public:
  Executor(std::shared_ptr<const program::Program> program, const std::string& isa);

  const program::Program& program() const { return *program_; }
  const Kernels& kernels() const { return *kernels_; }
  // Of one row of an image at a time, or of `flight` rows begun and not finished.
  const std::vector<Layout>& layouts() const { return layouts_; }
  std::vector<Layout> layouts(int flight) const;
  // What one more row in flight keeps, of one image.
  int64_t row_bytes() const;
  const PackedSum& packed(size_t instruction) const { return packed_[instruction]; }
  // Of a raster: the sum behind this one that is its relu, stored with it; or -1.
  int relu_of(size_t instruction) const { return relu_of_[instruction]; }
  bool absorbed(size_t instruction) const { return absorbed_[instruction]; }
  // The buffer in whose memory this one lies: values of a raster that are dead when others are born
  // leave theirs to them, so that a site stays in the first-level cache.
  size_t home(size_t buffer) const { return homes_[buffer]; }
  const Lags& lags() const { return lags_; }
  int64_t matrix_bytes() const { return matrix_bytes_; }
  size_t packed_bytes() const;
  // For the memory of sessions.
  core::Reserve& reserve() const { return reserve_; }

 private:
  std::shared_ptr<const program::Program> program_;
  const Kernels* kernels_;
  std::vector<Layout> layouts_;
  std::vector<PackedSum> packed_;  // one an instruction, empty for those that are no sum
  std::vector<int> relu_of_;
  std::vector<bool> absorbed_;
  std::vector<size_t> homes_;
  Lags lags_;
  int64_t matrix_bytes_ = 0;
  mutable core::Reserve reserve_;
};

}  // namespace genfast::cpu
