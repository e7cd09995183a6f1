#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/threefry.h"
#include "cuda/cuda.h"
#include "cuda/device.h"

namespace genfast::cuda {
namespace {

constexpr std::uint64_t kThreads = 256;
constexpr std::uint64_t kMaxGridY = 65535;

struct Draws {
  std::uint32_t seed_low;
  std::uint32_t seed_high;
  std::uint64_t index;  // of row 0
  std::uint64_t first;  // draw in column 0
  std::uint64_t rows;
  std::uint64_t columns;
};

// One thread a Threefry block, which is two neighbouring draws; x walks the blocks of a row, y the
// rows. Where `first` is odd, the block of column 0 began one draw earlier, which is not written.
//
// Floor: 4 bytes written and some 40 integer instructions a draw.
__global__ void fill(Draws draws, float* out) {
  const std::uint64_t before = draws.first & 1;
  const std::uint64_t blocks = (before + draws.columns + 1) / 2;
  const std::uint64_t first_block = draws.first / 2;
  const std::uint64_t stride_x = std::uint64_t{gridDim.x} * blockDim.x;
  const std::uint64_t stride_y = std::uint64_t{gridDim.y} * blockDim.y;
  const std::uint64_t start_x = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t start_y = std::uint64_t{blockIdx.y} * blockDim.y + threadIdx.y;
  for (std::uint64_t row = start_y; row < draws.rows; row += stride_y) {
    const std::uint32_t sample = static_cast<std::uint32_t>(draws.index + row);
    for (std::uint64_t block = start_x; block < blocks; block += stride_x) {
      const core::Words words = core::threefry2x32(
          draws.seed_low, draws.seed_high, sample, static_cast<std::uint32_t>(first_block + block));
      const std::uint64_t column = 2 * block - before;  // wraps below zero where nothing is written
      float* const target = out + row * draws.columns;
      if (column < draws.columns) target[column] = core::uniform(words.first);
      if (column + 1 < draws.columns) target[column + 1] = core::uniform(words.second);
    }
  }
}

std::uint64_t ceil_divide(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

void uniforms(
    std::uint64_t seed,
    std::uint64_t index,
    std::uint64_t first,
    float* out,
    std::int64_t n,
    std::int64_t draws,
    std::uintptr_t stream) {
  if (n <= 0 || draws <= 0) return;
  const DeviceGuard guard(device_of(out, "uniforms: out"));
  const Draws work{
      static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32), index, first,
      static_cast<std::uint64_t>(n),    static_cast<std::uint64_t>(draws)};
  // A short row does not fill a block of threads, so several rows share one.
  const std::uint64_t blocks = ceil_divide((first & 1) + work.columns, 2);
  const std::uint64_t across = std::min(std::bit_ceil(blocks), kThreads);
  const std::uint64_t down = kThreads / across;
  const dim3 threads(static_cast<unsigned>(across), static_cast<unsigned>(down));
  const dim3 grid(
      static_cast<unsigned>(std::min(ceil_divide(blocks, across), std::uint64_t{1} << 16)),
      static_cast<unsigned>(std::min(ceil_divide(work.rows, down), kMaxGridY)));
  fill<<<grid, threads, 0, reinterpret_cast<cudaStream_t>(stream)>>>(work, out);
  check_launch();
}

}  // namespace genfast::cuda
