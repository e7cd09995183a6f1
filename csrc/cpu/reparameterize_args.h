// What the kernels of normals and of reparameterize are asked to do, as plain structs; see
// kernels.h. Strides count values from a row to the next; the values of a row follow each other.
#pragma once

#include <stdint.h>

namespace genfast::cpu {

enum class Real : int32_t { kFloat32, kFloat64, kFloat16, kBFloat16 };

// log-variances are clamped to this: sigma is 3e-7 .. 22026.
inline constexpr double kLowestLogvar = -30.0;
inline constexpr double kHighestLogvar = 20.0;

struct NormalsArgs {
  const int64_t* seeds;    // one a row
  const int64_t* indices;  // one a row
  const float* mass;       // one a row: the share of the plane that is drawn from; null: all of it
  int64_t columns;
  float* out;  // contiguous
  int64_t row_begin, row_end;
};

// Row i belongs to sample index + i.
struct ReparameterizeArgs {
  Real real;  // of everything but the divergence, which is float64 or float32
  const void* mean;
  const void* logvar;
  int64_t mean_stride, logvar_stride;
  uint64_t seed;
  uint32_t index;
  int64_t columns;
  void* z;   // contiguous
  void* kl;  // one a row
  int64_t row_begin, row_end;
  // out: the first row that has a NaN or an infinity, or an infinite divergence; -1 for none
  int64_t odd_row;
};

struct ReparameterizeBackwardArgs {
  Real real;
  const void* grad_z;   // or null: zeros
  const void* grad_kl;  // one a row; or null: zeros
  const void* mean;
  const void* logvar;
  int64_t grad_z_stride, grad_kl_stride, mean_stride, logvar_stride;
  uint64_t seed;
  uint32_t index;
  int64_t columns;
  void* by_mean;    // contiguous
  void* by_logvar;  // contiguous
  int64_t row_begin, row_end;
};

}  // namespace genfast::cpu
