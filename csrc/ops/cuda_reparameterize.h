// reparameterize of tensors in device memory, or of a host's where the kernels are simulated: as
// ops/reparameterize.h, of float32, float16 and bfloat16. Nothing is raised for a NaN: see
// cuda/reparameterize.h.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "ops/reparameterize.h"

namespace genfast::ops {

// A stream of the GPU that owns the tensors, or so many simulated blocks.
struct GpuEngine {
  std::uintptr_t stream = 0;
  int64_t simulated_blocks = 0;
};

// parts: float32 (n, reparameterize_parts(columns)), scratch that is written.
void cuda_reparameterize(
    const core::Tensor& mean,
    const core::Tensor& logvar,
    const Draw& draw,
    const core::Tensor& z,
    const core::Tensor& kl,
    const core::Tensor& parts,
    const GpuEngine& engine);

void cuda_reparameterize_backward(
    const core::Tensor* grad_z,
    const core::Tensor* grad_kl,
    const core::Tensor& mean,
    const core::Tensor& logvar,
    const Draw& draw,
    const core::Tensor& by_mean,
    const core::Tensor& by_logvar,
    const GpuEngine& engine);

}  // namespace genfast::ops
