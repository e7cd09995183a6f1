#include <algorithm>
#include <bit>
#include <cstdint>

#include "cuda/cuda.h"
#include "cuda/device.h"

namespace genfast::cuda {
namespace {

constexpr std::uint64_t kThreads = 256;
constexpr std::uint64_t kMaxGridY = 65535;

// One thread a Threefry block, which is two neighbouring draws; x walks the blocks of a row, y the
// rows.
//
// Floor: 4 bytes written and some 40 integer instructions a draw.
__global__ void fill(UniformRows all) {
  const std::uint64_t stride_x = std::uint64_t{gridDim.x} * blockDim.x;
  const std::uint64_t stride_y = std::uint64_t{gridDim.y} * blockDim.y;
  const std::uint64_t start_x = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t start_y = std::uint64_t{blockIdx.y} * blockDim.y + threadIdx.y;
  for (std::uint64_t i = start_y; i < all.rows; i += stride_y) {
    const UniformRow row = row_of(all, i);
    const std::uint64_t blocks = blocks_of(row.first, row.columns);
    for (std::uint64_t block = start_x; block < blocks; block += stride_x) fill_block(row, block);
  }
}

std::uint64_t ceil_divide(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

void uniforms(const UniformRows& rows, std::uintptr_t stream) {
  if (rows.rows == 0 || rows.columns == 0) return;
  const int device = common_device(
      {{rows.seeds, "uniforms: seeds"},
       {rows.indices, "uniforms: indices"},
       {rows.first, "uniforms: first"},
       {rows.out, "uniforms: out"}});
  const DeviceGuard guard(device);
  const std::uint64_t most = blocks_of(1, rows.columns);  // as where every first draw is odd
  // A short row does not fill a block of threads, so several rows share one.
  const std::uint64_t across = std::min(std::bit_ceil(most), kThreads);
  const std::uint64_t down = kThreads / across;
  const dim3 threads(static_cast<unsigned>(across), static_cast<unsigned>(down));
  const dim3 grid(
      static_cast<unsigned>(std::min(ceil_divide(most, across), std::uint64_t{1} << 16)),
      static_cast<unsigned>(std::min(ceil_divide(rows.rows, down), kMaxGridY)));
  fill<<<grid, threads, 0, reinterpret_cast<cudaStream_t>(stream)>>>(rows);
  check_launch();
}

}  // namespace genfast::cuda
