#include "cuda/block.cuh"
#include "cuda/draw.h"
#include "cuda/kernel/kernel.h"

namespace genfast::cuda {
namespace {

// Floor of a tick: the bytes of a block's resident weights over 128 a cycle, and a barrier for each
// that the plan counts. Not measured yet.
__global__ void __launch_bounds__(kThreads, 1) draw_all(const __grid_constant__ Launch launch) {
  GpuBlock block(launch);
  block.copy_weights();
  Kernel<GpuBlock>(block, launch).run();
}

}  // namespace

DrawKernel draw_kernel() { return draw_all; }

}  // namespace genfast::cuda
