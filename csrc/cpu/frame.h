// One thread's share of a session's work: rows of the batch, or panels of every sum.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "core/memory.h"
#include "cpu/session.h"

namespace genfast::cpu {

struct Session::Failure {
  DrawError error = DrawError::kNone;
  int64_t position = 0;
  int64_t row = 0;
};

// The sums of one phase of a raster, those left out that others store. Pointers stand at column 0
// of a row: a kernel is told the columns.
struct Session::Code {
  std::vector<size_t> instructions;
  std::vector<SumArgs> sums;
};

// Of site code: some sums, then a draw or nothing.
struct Session::Segment {
  int32_t begin = 0;  // in the sums of the code
  int32_t end = 0;
  int64_t draw = -1;  // the instruction
};

// A row of an image that is being drawn, then the next of the same lane: rows are dealt to the
// lanes of all threads in turn.
struct alignas(64) Session::Lane {
  // Finished, in the order of the image. To have finished one is to have waited for all above it,
  // so every row above that one is as far as it must be.
  std::atomic<int64_t> sites{0};
  int flight = 0;  // its number in the frame
  bool live = false;
  int64_t y = 0;
  int64_t x = 0;                 // columns of it that are finished,
  int64_t end = 0;               // and those of the run
  int64_t index = 0;             // of column 0, in the bound arrays; it may lie before them
  int64_t finished = 0;          // columns of the row above, when last looked
  int64_t ready = 0;             // columns at which site code can run
  std::vector<int64_t> reached;  // columns that each sum of row code has done
};

// Everything that stays the same from site to site is filled in once; a site sets pointers only.
struct Session::Frame {
  int thread = 0;
  int32_t row_begin = 0;
  int32_t row_end = 0;
  std::vector<SumArgs> sums;             // one an instruction
  std::vector<std::vector<Term>> terms;  // what sums[i].terms points to
  std::vector<bool> meets;  // whether threads that split panels meet behind an instruction
  Code row_code;            // of a raster, all these
  Code site_code;
  std::vector<Segment> segments;
  std::unique_ptr<Lane[]> lanes;         // plan_.flight of them
  std::vector<Lane*> row_lanes;          // whose row code goes on now,
  std::vector<Lane*> site_lanes;         // and whose site code
  std::vector<Position> positions;       // of them
  int64_t stop_row = INT64_MAX;          // rows of the image behind this one are left
  int64_t steps = 0;                     // of the rows
  core::Aligned<float> scratch;          // of the draw
  core::Aligned<int64_t> hidden_values;  // drawn by a thread whose values nobody sees
  int64_t step = 0;                      // barriers passed in this run
  Failure failure;
};

}  // namespace genfast::cpu
