// How far the row above must be ahead, for rows of an image to be drawn at once.
//
//   row y-1   . . . . . . . . @       finished up to column x + lag
//   row y     . . . . x               an instruction of this lag can run at column x
//
// A value dy < 0 rows up and dx columns right is there once the row above has finished column
// x + dx: it has by then itself waited for the rows further up. A value of the row itself that row
// code writes, dx columns right, needs what its writer needs there, so lags add up along the
// chain: fifteen 3 x 3 layers of row code on a 7 x 7 one look 3 + 15 columns ahead.
#pragma once

#include <vector>

#include "program/program.h"

namespace genfast::cpu {

struct Lags {
  std::vector<int> of;  // one an instruction, those of start code without meaning
  int site = 0;         // of a whole site: the largest, at least 0
};

// The least lags. Throws std::logic_error if they do not cover every ref of the program.
Lags lags_of(const program::Program& program);

}  // namespace genfast::cpu
