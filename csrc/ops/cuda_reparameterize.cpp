#include "ops/cuda_reparameterize.h"

#include <algorithm>

#include "cuda/reparameterize.h"
#include "ops/latents.h"

namespace genfast::ops {
namespace {

using core::DType;
using core::Tensor;

cuda::Real real_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat16: return cuda::Real::kFloat16;
    case DType::kBFloat16: return cuda::Real::kBFloat16;
    default: return cuda::Real::kFloat32;
  }
}

// The arguments that both directions have.
template <typename Args>
Args args_of(const Tensor& mean, const Tensor& logvar, const Draw& draw) {
  const bool real = mean.dtype == DType::kFloat32 || mean.dtype == DType::kFloat16 ||
                    mean.dtype == DType::kBFloat16;
  core::require(
      real && mean.shape.size() == 2, "mean must be float32, float16 or bfloat16 (any, any), got ",
      core::name_of(mean.dtype), " ", core::describe(mean.shape));
  require_as(logvar, "logvar", mean.dtype, mean.shape);
  require_draw(draw, mean.shape[0]);
  Args args{};
  args.real = real_of(mean.dtype);
  args.rows = mean.shape[0];
  args.columns = mean.shape[1];
  args.mean = mean.data;
  args.logvar = logvar.data;
  args.mean_stride = mean.row_stride;
  args.logvar_stride = logvar.row_stride;
  args.seed = draw.seed;
  args.index = static_cast<uint32_t>(draw.index);
  return args;
}

}  // namespace

void cuda_reparameterize(
    const Tensor& mean,
    const Tensor& logvar,
    const Draw& draw,
    const Tensor& z,
    const Tensor& kl,
    const Tensor& parts,
    const GpuEngine& engine) {
  auto args = args_of<cuda::ReparameterizeArgs>(mean, logvar, draw);
  require_result(z, "z", mean.dtype, mean.shape);
  require_result(kl, "kl", DType::kFloat32, {args.rows});
  const int64_t cut = cuda::reparameterize_parts(args.columns, mean.item_bytes);
  require_result(parts, "parts", DType::kFloat32, {args.rows, cut});
  args.z = z.data;
  args.kl = static_cast<float*>(kl.data);
  args.parts = static_cast<float*>(parts.data);
  if (args.rows == 0) return;
  const bool simulated = engine.simulated_blocks > 0;
  if (args.columns == 0 && simulated)
    std::fill_n(args.kl, args.rows, 0.0f);
  else if (args.columns == 0)
    cuda::reparameterize_nothing(args.kl, args.rows, engine.stream);
  else if (simulated)
    cuda::simulate_reparameterize(args, engine.simulated_blocks);
  else
    cuda::reparameterize(args, engine.stream);
}

void cuda_reparameterize_backward(
    const Tensor* grad_z,
    const Tensor* grad_kl,
    const Tensor& mean,
    const Tensor& logvar,
    const Draw& draw,
    const Tensor& by_mean,
    const Tensor& by_logvar,
    const GpuEngine& engine) {
  auto args = args_of<cuda::ReparameterizeBackwardArgs>(mean, logvar, draw);
  if (grad_z != nullptr) {
    require_as(*grad_z, "grad_z", mean.dtype, mean.shape);
    args.grad_z = grad_z->data;
    args.grad_z_stride = grad_z->row_stride;
  }
  if (grad_kl != nullptr) {
    require_as(*grad_kl, "grad_kl", DType::kFloat32, {args.rows});
    args.grad_kl = static_cast<const float*>(grad_kl->data);
    args.grad_kl_stride = grad_kl->row_stride;
  }
  require_result(by_mean, "by_mean", mean.dtype, mean.shape);
  require_result(by_logvar, "by_logvar", mean.dtype, mean.shape);
  args.by_mean = by_mean.data;
  args.by_logvar = by_logvar.data;
  if (args.rows == 0 || args.columns == 0) return;
  if (engine.simulated_blocks > 0)
    cuda::simulate_reparameterize_backward(args, engine.simulated_blocks);
  else
    cuda::reparameterize_backward(args, engine.stream);
}

}  // namespace genfast::ops
