// reparameterize: z = mean + exp(logvar / 2) eps, eps the normals of a seed, the divergence of each
// row from N(0, 1), and the gradients, which draw eps again. On the CPU. Rows are those of the
// samples index, index + 1, ...; a row has the same bits alone, in any batch, on any number of
// threads.
//
// mean, logvar, z (n, latent) of one dtype: float32, float64, float16, bfloat16. The divergence and
// its gradient (n,) are float64 beside float64, else float32. Results are contiguous, the rows of
// what is read may lie any distance apart. Results may not overlap what is read.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "ops/engine.h"

namespace genfast::ops {

// Which normals.
struct Draw {
  uint64_t seed = 0;
  uint64_t index = 0;
};

// Throws std::invalid_argument naming what does not fit, core::FloatingPointError naming the first
// row and column that has a NaN or an infinity.
void reparameterize(
    const core::Tensor& mean,
    const core::Tensor& logvar,
    const Draw& draw,
    const core::Tensor& z,
    const core::Tensor& kl,
    const Engine& engine);

// Gradients by z and kl, null for zeros, to those by mean and logvar.
void reparameterize_backward(
    const core::Tensor* grad_z,
    const core::Tensor* grad_kl,
    const core::Tensor& mean,
    const core::Tensor& logvar,
    const Draw& draw,
    const core::Tensor& by_mean,
    const core::Tensor& by_logvar,
    const Engine& engine);

// seeds, indices int64 (n,), mass float32 (n,) or null, out float32 (n, columns): see cpu/normal.h.
void normals(
    const core::Tensor& seeds,
    const core::Tensor& indices,
    const core::Tensor* mass,
    const core::Tensor& out,
    const Engine& engine);

}  // namespace genfast::ops
