// One thread's share of a session's work: rows of the batch, or panels of every sum.
#pragma once

#include <atomic>
#include <stdexcept>
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

// Site code: some sums, then a draw or nothing.
struct Session::Stretch {
  int32_t begin = 0;  // in the sums of the code
  int32_t end = 0;
  int64_t draw = -1;  // the instruction
};

// Everything that stays the same from site to site is filled in once; a site sets pointers only.
struct Session::Frame {
  int thread = 0;
  int32_t row_begin = 0;
  int32_t row_end = 0;
  std::vector<SumArgs> sums;             // one an instruction
  std::vector<std::vector<Term>> terms;  // what sums[i].terms points to
  std::vector<bool> meets;  // whether threads that split panels meet behind an instruction
  Code row_code;            // of a raster, these five
  Code site_code;
  std::vector<Stretch> stretches;
  std::vector<int64_t> reached;  // columns of the present row that each sum of row_code has done
  int64_t ready = 0;             // columns of it at which site code can run
  core::Aligned<float> scratch;  // of the draw
  core::Aligned<int64_t> hidden_values;  // drawn by a thread whose values nobody sees
  int64_t step = 0;                      // barriers passed in this run
  Failure failure;
};

// Refuses a second caller for a scope.
class Session::Busy {
 public:
  explicit Busy(std::atomic<bool>& busy) : busy_(busy) {
    if (busy_.exchange(true)) throw std::runtime_error("Session: in use by another thread");
  }
  ~Busy() { busy_.store(false); }

 private:
  std::atomic<bool>& busy_;
};

}  // namespace genfast::cpu
