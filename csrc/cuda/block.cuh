// One block of a GPU: what cells.h asks of a Block.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "cuda/kernel/cells.h"

namespace genfast::cuda {

extern __shared__ uint4 chip_memory[];

// Its machine is one block, a cluster of them, or the whole grid, as the plan says.
class GpuBlock {
 public:
  __device__ explicit GpuBlock(const Launch& launch) : launch_(launch) {}

  __device__ int32_t rank() const { return static_cast<int32_t>(blockIdx.x) % blocks(); }
  __device__ int32_t blocks() const { return launch_.plan.blocks; }
  __device__ int64_t machine() const { return static_cast<int64_t>(blockIdx.x) / blocks(); }

  template <typename T>
  __device__ T* chip(int64_t words) const {
    return reinterpret_cast<T*>(reinterpret_cast<uint32_t*>(chip_memory) + words);
  }

  template <typename T>
  __device__ T* own(int64_t words) const {
    const int64_t block = machine() * blocks() + rank();
    return reinterpret_cast<T*>(launch_.own + block * launch_.plan.block_words + words);
  }
  template <typename T>
  __device__ T* common(int64_t words) const {
    return reinterpret_cast<T*>(launch_.common + machine() * launch_.plan.machine_words + words);
  }

  template <typename F>
  __device__ void each(int32_t count, F f) {
    for (int32_t i = static_cast<int32_t>(threadIdx.x); i < count;
         i += static_cast<int32_t>(blockDim.x))
      f(i);
  }

  template <typename F>
  __device__ void warps(int32_t count, F f) {
    for (int32_t i = static_cast<int32_t>(threadIdx.x / 32); i < count;
         i += static_cast<int32_t>(blockDim.x / 32))
      f(i);
  }

  __device__ void sync() { __syncthreads(); }

  __device__ void barrier() {
    if (launch_.plan.grid != 0) return meet_grid();
    if (blocks() == 1) return __syncthreads();
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    __syncwarp();  // the threads of a warp must arrive together
    asm volatile(
        "barrier.cluster.arrive.release.aligned;\n"
        "barrier.cluster.wait.acquire.aligned;\n" ::
            : "memory");
#else
    __trap();  // a plan for clusters on a device that has none
#endif
  }

  // What other blocks write in device memory is not looked for in the first-level cache.
  template <typename T>
  __device__ T load(const T* from, bool device) const {
    if (device) return __ldcg(from);
    __builtin_assume(__isShared(from));
    return *from;
  }
  __device__ void load4(const float* from, bool device, float (&to)[4]) const {
    const auto* quad = reinterpret_cast<const float4*>(from);
    spread(device ? __ldcg(quad) : shared(quad), to);
  }
  __device__ float load_weight(const float* from, bool on_chip) const {
    return on_chip ? shared(from) : __ldg(from);
  }
  __device__ void load_weights(const float* from, bool on_chip, float (&to)[4]) const {
    const auto* quad = reinterpret_cast<const float4*>(from);
    spread(on_chip ? shared(quad) : __ldg(quad), to);
  }

  template <typename T>
  __device__ void store(T* to, T value, bool device) const {
    if (!device) __builtin_assume(__isShared(to));
    *to = value;
  }

  template <typename T>
  __device__ void store_all(T* to, T value) const {
    if (blocks() == 1) {
      *to = value;
      return;
    }
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    const auto mine = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    for (int32_t block = 0; block < blocks(); ++block) {
      uint32_t theirs;
      asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(theirs) : "r"(mine), "r"(block));
      asm volatile("st.shared::cluster.b32 [%0], %1;" ::"r"(theirs), "r"(bits_of(value))
                   : "memory");
    }
#else
    __trap();
#endif
  }

  __device__ void fail(unsigned long long failure) const { atomicMin(launch_.failure, failure); }

  // The first pieces of the block's image go to the chip.
  __device__ void copy_weights() {
    const PlanHeader& plan = launch_.plan;
    const auto* from = reinterpret_cast<const uint4*>(launch_.images + rank() * plan.image_bytes);
    auto* to = chip<uint4>(plan.chip_words);
    each(static_cast<int32_t>(plan.resident_bytes / 16), [&](int32_t i) {
      to[i] = __ldg(from + i);
    });
    __syncthreads();
  }

  // A product of 16 rows, or 8, by 16 cells on the tensor cores: weights in bfloat16 by inputs that
  // are the sum of two bfloat16, each summed in float32 by itself. Weights are the first operand of
  // whole tiles, by 8 cells twice, and the second of half ones.
  class Tile {
   public:
    __device__ Tile(const GpuBlock& block, bool whole, int32_t cells)
        : block_(block), whole_(whole), cells_(cells) {}

    template <typename F>
    __device__ void point(F input, int32_t width, bool aligned) {
      GENFAST_UNROLL
      for (int32_t c = 0; c < 2; ++c) inputs_[c] = input(lane() / 4 + 8 * c);
      width_ = width;
      aligned_ = aligned;
    }

    __device__ void multiply(const uint16_t* weights, bool on_chip, int32_t first) {
      const int32_t k = first + lane() % 4 * 2;
      const bool both = cells_ > 8;
      uint32_t high[2][2] = {};
      uint32_t low[2][2] = {};
      GENFAST_UNROLL
      for (int32_t c = 0; c < 2; ++c) {
        if (c == 1 && !both) break;
        split(inputs_[c], k, &high[c][0], &low[c][0]);
        split(inputs_[c], k + 8, &high[c][1], &low[c][1]);
      }
      if (whole_) {
        const auto* quad = reinterpret_cast<const uint4*>(weights) + lane();
        const uint4 w = on_chip ? shared(quad) : __ldg(quad);
        accumulate(w, high[0][0], high[0][1], high_[0]);
        accumulate(w, low[0][0], low[0][1], low_[0]);
        if (!both) return;
        accumulate(w, high[1][0], high[1][1], high_[1]);
        accumulate(w, low[1][0], low[1][1], low_[1]);
      } else {
        const auto* pair = reinterpret_cast<const uint2*>(weights) + lane();
        const uint2 w = on_chip ? shared(pair) : __ldg(pair);
        accumulate(uint4{high[0][0], high[1][0], high[0][1], high[1][1]}, w.x, w.y, high_[0]);
        accumulate(uint4{low[0][0], low[1][0], low[0][1], low[1][1]}, w.x, w.y, low_[0]);
      }
    }

    __device__ void store(float* to, int32_t cell_stride) const {
      GENFAST_UNROLL
      for (int32_t half = 0; half < 2; ++half) {
        if (half == 1 && !whole_) break;
        GENFAST_UNROLL
        for (int32_t i = 0; i < 4; ++i) {
          const int32_t across = lane() / 4 + i / 2 * 8;  // of the first operand
          const int32_t along = lane() % 4 * 2 + i % 2;   // of the second
          const int32_t cell = whole_ ? along + 8 * half : across;
          if (cell < cells_)
            block_.store(
                to + cell * cell_stride + (whole_ ? across : along), high_[half][i] + low_[half][i],
                false);
        }
      }
    }

   private:
    __device__ static int32_t lane() { return static_cast<int32_t>(threadIdx.x % 32); }

    // Two neighbouring inputs, as two pairs of bfloat16.
    __device__ void split(const Input& input, int32_t k, uint32_t* high, uint32_t* low) const {
      float2 x{0.0f, 0.0f};
      if (aligned_ && k + 1 < width_) {
        const auto* pair = reinterpret_cast<const float2*>(input.data + k);
        x = input.device ? __ldcg(pair) : shared(pair);
      } else {
        if (k < width_) x.x = block_.load(input.data + k, input.device);
        if (k + 1 < width_) x.y = block_.load(input.data + k + 1, input.device);
      }
      const __nv_bfloat162 upper = __floats2bfloat162_rn(x.x, x.y);
      const float2 rest{x.x - __low2float(upper), x.y - __high2float(upper)};
      // Of an infinity nothing is left.
      const __nv_bfloat162 lower =
          __floats2bfloat162_rn(rest.x == rest.x ? rest.x : 0.0f, rest.y == rest.y ? rest.y : 0.0f);
      *high = bits_of(upper);
      *low = bits_of(lower);
    }

    __device__ static void accumulate(const uint4& a, uint32_t b0, uint32_t b1, float (&sum)[4]) {
      asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
          "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
    }

    const GpuBlock& block_;
    bool whole_;
    int32_t cells_;
    Input inputs_[2] = {};
    int32_t width_ = 0;
    bool aligned_ = true;
    float high_[2][4] = {};
    float low_[2][4] = {};
  };

 private:
  template <typename T>
  __device__ static T shared(const T* from) {
    __builtin_assume(__isShared(from));
    return *from;
  }

  __device__ static void spread(const float4& quad, float (&to)[4]) {
    to[0] = quad.x;
    to[1] = quad.y;
    to[2] = quad.z;
    to[3] = quad.w;
  }

  __device__ static uint32_t bits_of(float value) { return __float_as_uint(value); }
  __device__ static uint32_t bits_of(int32_t value) { return static_cast<uint32_t>(value); }
  __device__ static uint32_t bits_of(__nv_bfloat162 pair) {
    return *reinterpret_cast<uint32_t*>(&pair);
  }

  // One arrival a block, counted from the begin of the launch. All blocks of the grid run at the
  // same time. Counter and goal may wrap around: they are never 2^31 apart.
  __device__ void meet_grid() {
    __syncthreads();
    goal_ += static_cast<unsigned>(blocks());
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(launch_.arrivals, 1u);
      while (static_cast<int>(*static_cast<volatile unsigned*>(launch_.arrivals) - goal_) < 0) {
      }
      __threadfence();
    }
    __syncthreads();
  }

  const Launch& launch_;
  unsigned goal_ = 0;
};

}  // namespace genfast::cuda
