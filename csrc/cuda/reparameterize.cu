#include <algorithm>

#include "cuda/device.h"
#include "cuda/reparameterize.h"
#include "cuda/reparameterize_rows.h"

namespace genfast::cuda {
namespace {

// Of a processor, which bounds the registers of a thread: to 64, or 128 where some 80 are needed.
template <bool whole>
constexpr int kLeastBlocks = whole ? 4 : 2;
constexpr unsigned kAllLanes = 0xffffffffu;

// Adds up neighbouring lanes, in halves; lane 0 has the sum.
__device__ __forceinline__ float sum_of(float x, int32_t lanes) {
  for (int32_t half = lanes / 2; half > 0; half /= 2) x += __shfl_down_sync(kAllLanes, x, half);
  return x;
}

// Floor: the bytes read and written, 12 an element of float32 and 6 of a half, at the bandwidth of
// a copy. Not measured yet.
template <typename T, bool whole>
__global__ void __launch_bounds__(kReparameterizeThreads, kLeastBlocks<whole>) forward(
    const __grid_constant__ ReparameterizeArgs args,
    const __grid_constant__ RowShares shares) {
  const TaskWalk walk = task_walk(shares, blockIdx.x, gridDim.x, static_cast<int32_t>(threadIdx.x));
  for (int64_t first = walk.warp_task; first < shares.tasks; first += walk.step) {
    const int64_t task = first + walk.group;
    const bool live = task < shares.tasks;
    float sum = 0.0f;
    if (live) sum = forward_lane<T, whole>(args, span_of(shares, task), walk.lane, shares.lanes);
    sum = sum_of(sum, shares.lanes);
    if (live && walk.lane == 0) give_sum(args, shares, task, sum);
  }
}

// One warp a row.
__global__ void __launch_bounds__(kReparameterizeThreads)
    add_parts(const __grid_constant__ ReparameterizeArgs args, int64_t parts) {
  const int64_t warps = kReparameterizeThreads / kWarp;
  const auto lane = static_cast<int32_t>(threadIdx.x % kWarp);
  for (int64_t row = blockIdx.x * warps + threadIdx.x / kWarp; row < args.rows;
       row += gridDim.x * warps) {
    const float sum = sum_of(parts_lane(args, parts, row, lane), kWarp);
    if (lane == 0) args.kl[row] = sum * 0.5f;
  }
}

// Floor: 20 bytes an element of float32, 10 of a half. Not measured yet.
template <typename T, bool whole>
__global__ void __launch_bounds__(kReparameterizeThreads, kLeastBlocks<whole>) backward(
    const __grid_constant__ ReparameterizeBackwardArgs args,
    const __grid_constant__ RowShares shares) {
  const TaskWalk walk = task_walk(shares, blockIdx.x, gridDim.x, static_cast<int32_t>(threadIdx.x));
  for (int64_t first = walk.warp_task; first < shares.tasks; first += walk.step) {
    const int64_t task = first + walk.group;
    if (task < shares.tasks)
      backward_lane<T, whole>(args, span_of(shares, task), walk.lane, shares.lanes);
  }
}

// Blocks that fill the device, or fewer where there is less to do.
template <typename Kernel>
unsigned grid_for(Kernel kernel, int device, int64_t wanted) {
  int processors = 0;
  int resident = 0;
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  check(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, kReparameterizeThreads, 0));
  return static_cast<unsigned>(std::min<int64_t>(wanted, int64_t{processors} * resident));
}

int64_t blocks_for(int64_t tasks, int32_t lanes) {
  const int64_t at_once = kReparameterizeThreads / lanes;
  return (tasks + at_once - 1) / at_once;
}

template <typename Kernel, typename Args>
void launch(Kernel kernel, const Args& args, const RowShares& shares, int device, cudaStream_t to) {
  const unsigned grid = grid_for(kernel, device, blocks_for(shares.tasks, shares.lanes));
  kernel<<<grid, kReparameterizeThreads, 0, to>>>(args, shares);
  check_launch();
}

}  // namespace

void reparameterize(const ReparameterizeArgs& args, std::uintptr_t stream) {
  const int device =
      common_device({{args.mean, "mean"}, {args.logvar, "logvar"}, {args.z, "z"}, {args.kl, "kl"}});
  const DeviceGuard guard(device);
  const auto to = reinterpret_cast<cudaStream_t>(stream);
  with_form(args, [&](auto value, auto whole) {
    using T = decltype(value);
    const RowShares shares = shares_of<T>(args.rows, args.columns);
    launch(forward<T, decltype(whole)::value>, args, shares, device, to);
    if (shares.parts == 1) return;
    const unsigned grid = grid_for(add_parts, device, blocks_for(args.rows, kWarp));
    add_parts<<<grid, kReparameterizeThreads, 0, to>>>(args, shares.parts);
    check_launch();
  });
}

void reparameterize_backward(const ReparameterizeBackwardArgs& args, std::uintptr_t stream) {
  const int device = common_device(
      {{args.grad_z, "grad_z"},
       {args.grad_kl, "grad_kl"},
       {args.mean, "mean"},
       {args.logvar, "logvar"},
       {args.by_mean, "by_mean"},
       {args.by_logvar, "by_logvar"}});
  const DeviceGuard guard(device);
  with_form(args, [&](auto value, auto whole) {
    using T = decltype(value);
    const RowShares shares = shares_of<T>(args.rows, args.columns);
    launch(
        backward<T, decltype(whole)::value>, args, shares, device,
        reinterpret_cast<cudaStream_t>(stream));
  });
}

void reparameterize_nothing(float* kl, int64_t rows, std::uintptr_t stream) {
  const DeviceGuard guard(device_of(kl, "kl"));
  const auto bytes = static_cast<size_t>(rows) * sizeof(float);
  check(cudaMemsetAsync(kl, 0, bytes, reinterpret_cast<cudaStream_t>(stream)));
}

}  // namespace genfast::cuda
