// Memory for values: those of a tick take each other's place once nobody reads them any more.
//
//   step        0    1    2    3    4    5
//   a           w----r
//   b                w---------r              shared: free behind the next barrier, at 5
//   c                     w----r              takes the words of a
#pragma once

#include <cstdint>
#include <vector>

namespace genfast::cuda {

// Words that are taken from step `begin` until before step `end`, in every tick of `steps` steps;
// `end` may lie in the next tick. begin < 0: always.
struct Tenant {
  int64_t words = 0;
  int begin = -1;
  int end = -1;
};

struct Seats {
  std::vector<int64_t> offsets;  // of each tenant, multiples of four words
  int64_t permanent = 0;         // words of those that are always there, which come first
  int64_t words = 0;             // of all
};

Seats seat(const std::vector<Tenant>& tenants, int steps);

}  // namespace genfast::cuda
