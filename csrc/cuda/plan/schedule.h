// The order of instructions within a tick, and how far rows of an image run behind each other.
//
//   row y      s s s s s s s s S r r      S  the site of its lane, computed at this tick
//   row y+1    s s s s S r r              r  row code that runs ahead of it, `ahead` columns at
//   most row y+2    S r r                      skew = 4 columns: what S of row y+1 reads above is
//   there
#pragma once

#include <vector>

#include "program/program.h"

namespace genfast::cuda {

struct Schedule {
  std::vector<int>
      order;     // instructions that run: those of the start, then row code, then site code
  int once = 0;  // how many of them are of the start
  std::vector<int> ahead;  // of each instruction of the program
  int most_ahead = 0;
  int skew = 1;
};

Schedule schedule_of(const program::Program& program);

// Ticks between a value being written and a step reading it, at least.
int ticks_since(const Schedule& schedule, int reader, const program::Ref& ref, int writer);

// Throws std::logic_error where an instruction would read what no earlier step has written.
void check(const program::Program& program, const Schedule& schedule);

}  // namespace genfast::cuda
