// The kernel that draws. For the sources of this folder that CUDA compiles.
#pragma once

#include "cuda/kernel/launch.h"

namespace genfast::cuda {

inline constexpr int kThreads = 512;  // of a block

using DrawKernel = void (*)(const Launch);

// Runs on one block, a cluster or, launched cooperatively, the grid: the plan says which. A plan
// for clusters needs code of sm_90 or newer.
DrawKernel draw_kernel();

}  // namespace genfast::cuda
