#include "ops/reparameterize.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "cpu/dispatch.h"
#include "ops/latents.h"

namespace genfast::ops {
namespace {

using core::DType;
using core::Tensor;

constexpr int64_t kPieceValues = 8 << 10;    // of the rows that a thread takes at once
constexpr int64_t kThreadValues = 16 << 10;  // a thread more for as many: waking it takes as long

struct Latents {
  cpu::Real real;
  int64_t rows, columns;
};

cpu::Real real_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return cpu::Real::kFloat64;
    case DType::kFloat16: return cpu::Real::kFloat16;
    case DType::kBFloat16: return cpu::Real::kBFloat16;
    default: return cpu::Real::kFloat32;
  }
}

Latents latents_of(const Tensor& mean, const Tensor& logvar, const Draw& draw) {
  const bool real = mean.dtype == DType::kFloat32 || mean.dtype == DType::kFloat64 ||
                    mean.dtype == DType::kFloat16 || mean.dtype == DType::kBFloat16;
  core::require(
      real && mean.shape.size() == 2,
      "mean must be float32, float64, float16 or bfloat16 (any, any), got ",
      core::name_of(mean.dtype), " ", core::describe(mean.shape));
  require_as(logvar, "logvar", mean.dtype, mean.shape);
  require_draw(draw, mean.shape[0]);
  return {real_of(mean.dtype), mean.shape[0], mean.shape[1]};
}

// Calls each(first row, row behind the last) for pieces of rows.
template <typename Each>
void share_rows(int64_t rows, int64_t columns, int threads, const Each& each) {
  const int64_t piece = std::max<int64_t>(1, kPieceValues / std::max<int64_t>(1, columns));
  const int64_t wanted = 1 + rows * columns / kThreadValues;
  const int used = static_cast<int>(std::min<int64_t>(std::max(threads, 1), wanted));
  share(used, (rows + piece - 1) / piece, [&](int, int64_t i) {
    each(i * piece, std::min(rows, (i + 1) * piece));
  });
}

double value_at(const Tensor& tensor, int64_t row, int64_t column) {
  const char* at = static_cast<const char*>(tensor.data) +
                   (row * tensor.row_stride + column) * tensor.item_bytes;
  const auto read = [at](auto value) {
    std::memcpy(&value, at, sizeof value);
    return value;
  };
  if (tensor.dtype == DType::kFloat64) return read(double{});
  if (tensor.dtype == DType::kFloat32) return static_cast<double>(read(float{}));
  const uint32_t bits = read(uint16_t{});
  const uint32_t exponent = tensor.dtype == DType::kBFloat16 ? 0x7f80 : 0x7c00;
  if ((bits & exponent) != exponent) return 0.0;  // which one matters to nobody
  if ((bits & 0x7fff) != exponent) return NAN;
  return (bits & 0x8000) != 0 ? -INFINITY : INFINITY;
}

void require_finite(const Tensor& tensor, const char* name, int64_t row) {
  for (int64_t column = 0; column < tensor.shape[1]; ++column) {
    const double value = value_at(tensor, row, column);
    if (std::isfinite(value)) continue;
    const char* got = std::isnan(value) ? "NaN" : value > 0 ? "inf" : "-inf";
    throw core::FloatingPointError(
        core::text(
            "reparameterize: ", name, " must be finite, got ", got, " in row ", row, ", column ",
            column));
  }
}

}  // namespace

void reparameterize(
    const Tensor& mean,
    const Tensor& logvar,
    const Draw& draw,
    const Tensor& z,
    const Tensor& kl,
    const Engine& engine) {
  const Latents latents = latents_of(mean, logvar, draw);
  require_result(z, "z", mean.dtype, mean.shape);
  require_result(kl, "kl", divergence_of(mean.dtype), {latents.rows});
  cpu::ReparameterizeArgs all{};
  all.real = latents.real;
  all.mean = mean.data;
  all.logvar = logvar.data;
  all.mean_stride = mean.row_stride;
  all.logvar_stride = logvar.row_stride;
  all.seed = draw.seed;
  all.index = static_cast<uint32_t>(draw.index);
  all.columns = latents.columns;
  all.z = z.data;
  all.kl = kl.data;
  if (latents.columns == 0) {
    std::memset(kl.data, 0, static_cast<size_t>(kl.size() * kl.item_bytes));
    return;
  }
  const cpu::Kernels& kernels = cpu::kernels_for(engine.isa);
  std::atomic<bool> odd{false};
  share_rows(latents.rows, latents.columns, engine.threads, [&](int64_t begin, int64_t end) {
    cpu::ReparameterizeArgs args = all;
    args.row_begin = begin;
    args.row_end = end;
    kernels.reparameterize(args);
    if (args.odd_row >= 0) odd.store(true, std::memory_order_relaxed);
  });
  if (!odd.load(std::memory_order_relaxed)) return;
  for (int64_t row = 0; row < latents.rows; ++row) {
    require_finite(mean, "mean", row);
    require_finite(logvar, "logvar", row);
  }
}

void reparameterize_backward(
    const Tensor* grad_z,
    const Tensor* grad_kl,
    const Tensor& mean,
    const Tensor& logvar,
    const Draw& draw,
    const Tensor& by_mean,
    const Tensor& by_logvar,
    const Engine& engine) {
  const Latents latents = latents_of(mean, logvar, draw);
  cpu::ReparameterizeBackwardArgs all{};
  if (grad_z != nullptr) {
    require_as(*grad_z, "grad_z", mean.dtype, mean.shape);
    all.grad_z = grad_z->data;
    all.grad_z_stride = grad_z->row_stride;
  }
  if (grad_kl != nullptr) {
    require_as(*grad_kl, "grad_kl", divergence_of(mean.dtype), {latents.rows});
    all.grad_kl = grad_kl->data;
    all.grad_kl_stride = grad_kl->row_stride;
  }
  require_result(by_mean, "by_mean", mean.dtype, mean.shape);
  require_result(by_logvar, "by_logvar", mean.dtype, mean.shape);
  all.real = latents.real;
  all.mean = mean.data;
  all.logvar = logvar.data;
  all.mean_stride = mean.row_stride;
  all.logvar_stride = logvar.row_stride;
  all.seed = draw.seed;
  all.index = static_cast<uint32_t>(draw.index);
  all.columns = latents.columns;
  all.by_mean = by_mean.data;
  all.by_logvar = by_logvar.data;
  if (latents.columns == 0) return;
  const cpu::Kernels& kernels = cpu::kernels_for(engine.isa);
  share_rows(latents.rows, latents.columns, engine.threads, [&](int64_t begin, int64_t end) {
    cpu::ReparameterizeBackwardArgs args = all;
    args.row_begin = begin;
    args.row_end = end;
    kernels.reparameterize_backward(args);
  });
}

void normals(
    const Tensor& seeds,
    const Tensor& indices,
    const Tensor* mass,
    const Tensor& out,
    const Engine& engine) {
  cpu::NormalsArgs all{};
  all.out = core::elements<float>(out, "out", {-1, -1});
  const int64_t rows = out.shape[0];
  all.columns = out.shape[1];
  all.seeds = core::elements<const int64_t>(seeds, "seeds", {rows});
  all.indices = core::elements<const int64_t>(indices, "indices", {rows});
  if (mass != nullptr) all.mass = core::elements<const float>(*mass, "mass", {rows});
  for (int64_t row = 0; row < rows; ++row) {
    core::require(all.seeds[row] >= 0, "seeds must be in [0, 2**63), got ", all.seeds[row]);
    core::require(
        all.indices[row] >= 0 && all.indices[row] < kIndices, "indices must be in [0, 2**32), got ",
        all.indices[row]);
  }
  const cpu::Kernels& kernels = cpu::kernels_for(engine.isa);
  share_rows(rows, all.columns, engine.threads, [&](int64_t begin, int64_t end) {
    cpu::NormalsArgs args = all;
    args.row_begin = begin;
    args.row_end = end;
    kernels.normals(args);
  });
}

}  // namespace genfast::ops
