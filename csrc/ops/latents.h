// What the operators of latents ask of their arguments, on the CPU and on a GPU.
#pragma once

#include "core/tensor.h"
#include "ops/reparameterize.h"

namespace genfast::ops {

inline constexpr int64_t kIndices = int64_t{1} << 32;

inline void require_as(
    const core::Tensor& tensor,
    const char* name,
    core::DType dtype,
    std::vector<int64_t> shape) {
  core::require(
      tensor.dtype == dtype && tensor.shape == shape, name, " must be ", core::name_of(dtype), " ",
      core::describe(shape), ", got ", core::name_of(tensor.dtype), " ",
      core::describe(tensor.shape));
}

inline void require_result(
    const core::Tensor& tensor,
    const char* name,
    core::DType dtype,
    std::vector<int64_t> shape) {
  const int64_t columns = shape.size() == 1 ? 1 : shape[1];
  require_as(tensor, name, dtype, std::move(shape));
  core::require(!tensor.read_only, name, " must be writable, got a read-only array");
  core::require(
      tensor.size() == 0 || tensor.shape[0] == 1 || tensor.row_stride == columns, name,
      " must be contiguous");
}

inline core::DType divergence_of(core::DType dtype) {
  return dtype == core::DType::kFloat64 ? core::DType::kFloat64 : core::DType::kFloat32;
}

inline void require_draw(const Draw& draw, int64_t rows) {
  core::require(draw.seed >> 63 == 0, "seed must be in [0, 2**63), got ", draw.seed);
  core::require(
      draw.index <= static_cast<uint64_t>(kIndices - rows), "index + n must be at most 2**32, got ",
      draw.index, " + ", rows);
}

}  // namespace genfast::ops
