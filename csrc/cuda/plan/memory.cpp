#include "cuda/plan/memory.h"

#include <algorithm>
#include <numeric>

namespace genfast::cuda {
namespace {

int64_t rounded(int64_t words) { return (words + 3) / 4 * 4; }

bool meet(const Tenant& a, const Tenant& b, int steps) {
  for (const int shift : {-steps, 0, steps})
    if (a.begin < b.end + shift && b.begin + shift < a.end) return true;
  return false;
}

// The lowest place beside those tenants that are there at the same time.
int64_t lowest(
    const std::vector<Tenant>& tenants,
    const std::vector<size_t>& seated,
    const Seats& seats,
    size_t tenant,
    int steps) {
  std::vector<std::pair<int64_t, int64_t>> taken;
  for (const size_t other : seated)
    if (meet(tenants[tenant], tenants[other], steps))
      taken.emplace_back(
          seats.offsets[other], seats.offsets[other] + rounded(tenants[other].words));
  std::sort(taken.begin(), taken.end());
  int64_t at = seats.permanent;
  for (const auto& [begin, end] : taken) {
    if (at + rounded(tenants[tenant].words) <= begin) break;
    at = std::max(at, end);
  }
  return at;
}

}  // namespace

Seats seat(const std::vector<Tenant>& tenants, int steps) {
  Seats seats;
  seats.offsets.assign(tenants.size(), 0);
  for (size_t i = 0; i < tenants.size(); ++i) {
    if (tenants[i].begin >= 0) continue;
    seats.offsets[i] = seats.permanent;
    seats.permanent += rounded(tenants[i].words);
  }
  seats.words = seats.permanent;
  // The largest first: what comes later fits beside it.
  std::vector<size_t> by_size(tenants.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(), [&](size_t a, size_t b) {
    return tenants[a].words > tenants[b].words;
  });
  std::vector<size_t> seated;
  for (const size_t i : by_size) {
    if (tenants[i].begin < 0 || tenants[i].words == 0) continue;
    seats.offsets[i] = lowest(tenants, seated, seats, i, steps);
    seats.words = std::max(seats.words, seats.offsets[i] + rounded(tenants[i].words));
    seated.push_back(i);
  }
  return seats;
}

}  // namespace genfast::cuda
