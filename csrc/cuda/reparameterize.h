// reparameterize on a GPU: what ops/reparameterize.h says, of float32, float16 and bfloat16 tensors
// in device memory, the divergence and its gradient float32. A row has the same bits alone and in
// any batch; z and the gradients have those of the CPU core where it fuses multiply-adds.
//
// What is NaN or infinite raises nothing, because nobody waits for the GPU: it makes the divergence
// of its row NaN or infinite, a log-variance its latent NaN, too.
#pragma once

#include <cstdint>

namespace genfast::cuda {

enum class Real : int32_t { kFloat32, kFloat16, kBFloat16 };

// A row longer than this many groups of 16 bytes is cut into parts, whose sums are added at last.
inline constexpr int64_t kPartGroups = 512;

constexpr int64_t reparameterize_parts(int64_t columns, int64_t item_bytes) {
  const int64_t columns_of_part = kPartGroups * 16 / item_bytes;
  return columns <= columns_of_part ? 1 : (columns + columns_of_part - 1) / columns_of_part;
}

// Strides count values from a row to the next; results are contiguous. Row i belongs to sample
// index + i.
struct ReparameterizeArgs {
  Real real;
  int64_t rows, columns;  // neither is 0
  const void* mean;
  const void* logvar;
  int64_t mean_stride, logvar_stride;
  uint64_t seed;
  uint32_t index;
  void* z;
  float* kl;     // (rows,)
  float* parts;  // (rows, reparameterize_parts) of scratch; unused where a row has one
};

struct ReparameterizeBackwardArgs {
  Real real;
  int64_t rows, columns;  // neither is 0
  const void* grad_z;     // or null: zeros
  const float* grad_kl;   // one a row; or null: zeros
  const void* mean;
  const void* logvar;
  int64_t grad_z_stride, grad_kl_stride, mean_stride, logvar_stride;
  uint64_t seed;
  uint32_t index;
  void* by_mean;
  void* by_logvar;
};

// On the device whose memory it is; the call does not wait. stream: a cudaStream_t as an integer.
// Throws std::invalid_argument where memory is not one device's, std::runtime_error when CUDA
// reports an error or was not built. Shapes and ranges are the caller's to check.
void reparameterize(const ReparameterizeArgs& args, std::uintptr_t stream);
void reparameterize_backward(const ReparameterizeBackwardArgs& args, std::uintptr_t stream);

// kl = 0 of rows without a column.
void reparameterize_nothing(float* kl, int64_t rows, std::uintptr_t stream);

// The same source on a host, for memory of the host: the threads of `blocks` blocks, one after the
// other.
void simulate_reparameterize(const ReparameterizeArgs& args, int64_t blocks);
void simulate_reparameterize_backward(const ReparameterizeBackwardArgs& args, int64_t blocks);

}  // namespace genfast::cuda
