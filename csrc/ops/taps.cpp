#include "ops/taps.h"

#include <algorithm>

namespace genfast::ops {
namespace {

bool is_live(const Kernel& kernel, int64_t tap) {
  const int64_t outs = kernel.mask_of_outs ? kernel.out : 1;
  const int64_t ins = kernel.mask_of_ins ? kernel.in : 1;
  for (int64_t o = 0; o < outs; ++o)
    for (int64_t i = 0; i < ins; ++i)
      if (kernel.alive(o, i, tap)) return true;
  return false;
}

// Appends a tap to the last run where it stands beside it, else to a new one.
void append(Taps& taps, int32_t row, int32_t column, int32_t number, int64_t longest) {
  const bool beside = !taps.runs.empty() && taps.runs.back().row == row &&
                      taps.runs.back().column + taps.runs.back().taps == column &&
                      taps.runs.back().taps < longest;
  if (beside)
    ++taps.runs.back().taps;
  else
    taps.runs.push_back({row, column, 1});
  taps.numbers.push_back(number);
  taps.reach.above = std::max(taps.reach.above, -row);
  taps.reach.below = std::max(taps.reach.below, row);
  taps.reach.left = std::max(taps.reach.left, -column);
  taps.reach.right = std::max(taps.reach.right, column);
}

}  // namespace

Taps live_taps(const Kernel& kernel, int64_t longest) {
  Taps taps;
  for (int64_t tap = 0; tap < kernel.taps(); ++tap) {
    if (!is_live(kernel, tap)) continue;
    const int64_t row = tap / kernel.columns - kernel.above;
    const int64_t column = tap % kernel.columns - kernel.left;
    append(
        taps, static_cast<int32_t>(row), static_cast<int32_t>(column), static_cast<int32_t>(tap),
        longest);
  }
  return taps;
}

Taps turned(const Taps& taps, int64_t longest) {
  Taps to;
  size_t number = taps.numbers.size();
  for (auto run = taps.runs.rbegin(); run != taps.runs.rend(); ++run)
    for (int32_t tap = run->taps - 1; tap >= 0; --tap)
      append(to, -run->row, -(run->column + tap), taps.numbers[--number], longest);
  return to;
}

void pack_panel(
    const Kernel& kernel,
    const Taps& taps,
    bool transposed,
    const Panels& panels,
    int64_t panel,
    float* packed) {
  const int64_t reads = transposed ? kernel.out : kernel.in;
  const int64_t width = panels.floats(panel);
  const int64_t begin = panel * panels.width();
  const int64_t columns = std::min(width, panels.columns - begin);
  for (const int32_t tap : taps.numbers)
    for (int64_t read = 0; read < reads; ++read, packed += width) {
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t o = transposed ? read : begin + column;
        const int64_t i = transposed ? begin + column : read;
        packed[column] = kernel.alive(o, i, tap)
                             ? kernel.weight[(o * kernel.in + i) * kernel.taps() + tap]
                             : 0.0f;
      }
      std::fill(packed + columns, packed + width, 0.0f);
    }
}

void unpack_panel(
    const Kernel& kernel,
    const Taps& taps,
    const Panels& panels,
    int64_t panel,
    const float* packed,
    float* weight) {
  const int64_t width = panels.floats(panel);
  const int64_t begin = panel * panels.width();
  const int64_t columns = std::min(width, panels.columns - begin);
  for (const int32_t tap : taps.numbers)
    for (int64_t i = 0; i < kernel.in; ++i, packed += width)
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t o = begin + column;
        if (kernel.alive(o, i, tap))
          weight[(o * kernel.in + i) * kernel.taps() + tap] = packed[column];
      }
}

}  // namespace genfast::ops
