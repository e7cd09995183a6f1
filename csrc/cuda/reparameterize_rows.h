// The kernels of reparameterize: what one thread does, on a GPU or simulated on a host.
//
// A row, or a part of a long one, is shared by `lanes` neighbouring threads of a warp. Each takes
// 16 bytes of values at once, then those `lanes` times as far:
//
//   lanes = 4     0000 1111 2222 3333 0000 1111 22      a row of 26 floats, by thread
//
// How a row is cut, and so in which order its divergence is added up, is a matter of its columns
// alone: not of the batch, nor of the grid. Columns 2 b and 2 b + 1 are the normals of block b.
#pragma once

#include <type_traits>

#include "cuda/reparameterize.h"
#include "cuda/values.h"

namespace genfast::cuda {

inline constexpr int kReparameterizeThreads = 256;
inline constexpr int kWarp = 32;

struct RowShares {
  int64_t rows, columns;
  int64_t parts;         // of a row
  int64_t part_columns;  // of a part; the last may have fewer
  int64_t tasks;         // parts of all rows
  int32_t lanes;         // a power of two
};

// As many lanes as have four turns, over which to spread what a task costs, and idle in an eighth
// of them at most. Two where no number does: they read the 32 bytes that memory gives at once.
inline int32_t lanes_for(int64_t groups) {
  for (int32_t lanes = kWarp; lanes > 2; lanes /= 2) {
    const int64_t turns = (groups + lanes - 1) / lanes;
    if (turns >= 4 && 8 * turns * lanes <= 9 * groups) return lanes;
  }
  return groups == 1 ? 1 : 2;
}

template <typename T>
RowShares shares_of(int64_t rows, int64_t columns) {
  const int64_t groups = (columns + kWidth<T> - 1) / kWidth<T>;
  const int64_t parts = reparameterize_parts(columns, sizeof(T));
  const int32_t lanes = lanes_for(groups < kPartGroups ? groups : kPartGroups);
  return {rows, columns, parts, kPartGroups * kWidth<T>, rows * parts, lanes};
}

// Where a thread begins, and how far apart its tasks are. All threads of a warp take as many turns,
// so that they can add up what they have; the last turn may lie behind the tasks.
struct TaskWalk {
  int64_t warp_task;  // of the warp's first lanes
  int64_t step;
  int32_t group;  // the thread's lanes among those of its warp
  int32_t lane;
};

GENFAST_HOST_DEVICE TaskWalk
task_walk(const RowShares& shares, int64_t block, int64_t blocks, int32_t thread) {
  const int32_t at_once = kWarp / shares.lanes;  // tasks of a warp
  const int64_t warps = kReparameterizeThreads / kWarp;
  return {
      (block * warps + thread / kWarp) * at_once, blocks * warps * at_once,
      thread % kWarp / shares.lanes, thread % shares.lanes};
}

// The columns of a task.
struct Span {
  int64_t row;
  int64_t begin;  // an even one
  int32_t columns;
};

GENFAST_HOST_DEVICE Span span_of(const RowShares& shares, int64_t task) {
  if (shares.parts == 1) return {task, 0, static_cast<int32_t>(shares.columns)};
  const int64_t row = task / shares.parts;
  const int64_t begin = (task - row * shares.parts) * shares.part_columns;
  const int64_t left = shares.columns - begin;
  return {
      row, begin, static_cast<int32_t>(left < shares.part_columns ? left : shares.part_columns)};
}

// sigma = power * (1 + part), a power of two and a part that is rounded once, and sigma - 1.
struct Sigma {
  float power, part, less_one;
};

// Of a log-variance within the clamp.
GENFAST_HOST_DEVICE Sigma sigma_of(float logvar) {
  const float x = logvar * 0.5f;
  const float shifted = x * 1.44269504088896341f + 0x1.8p23f;  // the integer in its lowest bits
  const float n = shifted - 0x1.8p23f;
  float r = fmaf(n, -0.693359375f, x);  // ten bits of ln 2: n times it is exact
  r = fmaf(n, 2.12194440e-4f, r);
  const float square = r * r;
  const float low = fmaf(1.666654342e-01f, r, 4.999999815e-01f);
  const float high = fmaf(8.366547234e-03f, r, 4.166720071e-02f);
  const float q = fmaf(fmaf(1.388251651e-03f, square, high), square, low);
  const float part = fmaf(square, q, r);
  const float power = float_of((bits_of(shifted) << 23) + 0x3f800000u);
  return {power, part, fmaf(power, part, power - 1.0f)};
}

// Clamped, and NaN of what is not finite.
GENFAST_HOST_DEVICE float bounded(float logvar) {
  return fmaf(logvar, 0.0f, fmaxf(-30.0f, fminf(20.0f, logvar)));
}

// (1 + part) eps, rounded once.
GENFAST_HOST_DEVICE float scaled(const Sigma& sigma, Split eps) {
  return eps.hi + fmaf(sigma.part, eps.hi, eps.lo);
}

GENFAST_HOST_DEVICE float square_less_one(const Sigma& sigma) {
  return fmaf(sigma.less_one, sigma.less_one, sigma.less_one + sigma.less_one);
}

// Whose normals, and the block of the first column.
struct NoiseRow {
  uint64_t seed;
  uint32_t sample;
  uint32_t block;
};

template <typename Args>
GENFAST_HOST_DEVICE NoiseRow noise_of(const Args& args, const Span& span) {
  return {
      args.seed, args.index + static_cast<uint32_t>(span.row),
      static_cast<uint32_t>(span.begin / 2)};
}

// The normals of `width` columns from an even one on.
template <int width>
GENFAST_HOST_DEVICE void draw_normals(const NoiseRow& row, int32_t column, Split (&eps)[width]) {
  for (int32_t i = 0; i < width; i += 2) {
    const SplitPair pair = normal_pair(
        core::threefry2x32(
            static_cast<uint32_t>(row.seed), static_cast<uint32_t>(row.seed >> 32), row.sample,
            row.block + static_cast<uint32_t>((column + i) / 2)));
    eps[i] = pair.cosine;
    eps[i + 1] = pair.sine;
  }
}

// Where a span begins in an array.
template <typename T>
GENFAST_HOST_DEVICE const T* begin_of(const void* data, int64_t stride, const Span& span) {
  return static_cast<const T*>(data) + span.row * stride + span.begin;
}
template <typename T>
GENFAST_HOST_DEVICE T* begin_of(void* data, int64_t stride, const Span& span) {
  return static_cast<T*>(data) + span.row * stride + span.begin;
}

// z of a lane's columns of a task; returns its share of twice their divergence.
template <typename T, bool whole>
GENFAST_HOST_DEVICE float forward_lane(
    const ReparameterizeArgs& args,
    const Span& span,
    int32_t lane,
    int32_t lanes) {
  constexpr int kColumns = kWidth<T>;
  const T* const means = begin_of<T>(args.mean, args.mean_stride, span);
  const T* const logvars = begin_of<T>(args.logvar, args.logvar_stride, span);
  T* const latents = begin_of<T>(args.z, args.columns, span);
  const NoiseRow noise = noise_of(args, span);
  float sums[kColumns] = {};
  for (int32_t j = lane * kColumns; j < span.columns; j += lanes * kColumns) {
    float mean[kColumns], logvar[kColumns], z[kColumns];
    load_values<whole>(means + j, span.columns - j, mean);
    load_values<whole>(logvars + j, span.columns - j, logvar);
    Split eps[kColumns];
    draw_normals(noise, j, eps);
    for (int i = 0; i < kColumns; ++i) {
      const float inside = bounded(logvar[i]);
      const Sigma sigma = sigma_of(inside);
      z[i] = fmaf(sigma.power, scaled(sigma, eps[i]), mean[i]);
      sums[i] += fmaf(mean[i], mean[i], square_less_one(sigma) - inside);
    }
    store_values<whole>(latents + j, span.columns - j, z);
  }
  for (int half = kColumns / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

// What lane 0 does with the sum of all lanes.
GENFAST_HOST_DEVICE void give_sum(
    const ReparameterizeArgs& args,
    const RowShares& shares,
    int64_t task,
    float sum) {
  if (shares.parts == 1)
    args.kl[task] = sum * 0.5f;
  else
    args.parts[task] = sum;
}

// A lane's share of the parts of a row; a whole warp adds them up.
GENFAST_HOST_DEVICE float parts_lane(
    const ReparameterizeArgs& args,
    int64_t parts,
    int64_t row,
    int32_t lane) {
  float sum = 0.0f;
  for (int64_t part = lane; part < parts; part += kWarp) sum += args.parts[row * parts + part];
  return sum;
}

// By mean: grad_z + grad_kl mean. By logvar: (grad_z sigma eps + grad_kl (sigma^2 - 1)) / 2, and 0
// where it is clamped.
template <typename T, bool whole>
GENFAST_HOST_DEVICE void backward_lane(
    const ReparameterizeBackwardArgs& args,
    const Span& span,
    int32_t lane,
    int32_t lanes) {
  constexpr int kColumns = kWidth<T>;
  const T* const grads = begin_of<T>(args.grad_z, args.grad_z_stride, span);
  const T* const means = begin_of<T>(args.mean, args.mean_stride, span);
  const T* const logvars = begin_of<T>(args.logvar, args.logvar_stride, span);
  T* const by_means = begin_of<T>(args.by_mean, args.columns, span);
  T* const by_logvars = begin_of<T>(args.by_logvar, args.columns, span);
  const NoiseRow noise = noise_of(args, span);
  const float grad_kl =
      args.grad_kl == nullptr ? 0.0f : args.grad_kl[span.row * args.grad_kl_stride];
  for (int32_t j = lane * kColumns; j < span.columns; j += lanes * kColumns) {
    float grad[kColumns] = {}, mean[kColumns], logvar[kColumns];
    if (args.grad_z != nullptr) load_values<whole>(grads + j, span.columns - j, grad);
    load_values<whole>(means + j, span.columns - j, mean);
    load_values<whole>(logvars + j, span.columns - j, logvar);
    Split eps[kColumns];
    draw_normals(noise, j, eps);
    for (int i = 0; i < kColumns; ++i) {
      const Sigma sigma = sigma_of(bounded(logvar[i]));
      const float spread = sigma.power * scaled(sigma, eps[i]);
      const float twice = fmaf(grad[i], spread, grad_kl * square_less_one(sigma));
      const bool clamped = logvar[i] < -30.0f || logvar[i] > 20.0f;
      mean[i] = fmaf(grad_kl, mean[i], grad[i]);
      logvar[i] = clamped ? 0.0f : twice * 0.5f;
    }
    store_values<whole>(by_means + j, span.columns - j, mean);
    store_values<whole>(by_logvars + j, span.columns - j, logvar);
  }
}

// Whether rows can be taken 16 bytes at a time: they begin where such do, and end so.
template <typename T>
bool is_whole(const void* data, int64_t rows, int64_t columns, int64_t stride) {
  const auto at = reinterpret_cast<std::uintptr_t>(data);
  return at % 16 == 0 && columns % kWidth<T> == 0 && (rows == 1 || stride % kWidth<T> == 0);
}

template <typename T>
bool is_whole(const ReparameterizeArgs& a) {
  return is_whole<T>(a.mean, a.rows, a.columns, a.mean_stride) &&
         is_whole<T>(a.logvar, a.rows, a.columns, a.logvar_stride) &&
         is_whole<T>(a.z, a.rows, a.columns, a.columns);
}

template <typename T>
bool is_whole(const ReparameterizeBackwardArgs& a) {
  return is_whole<T>(a.grad_z, a.rows, a.columns, a.grad_z_stride) &&
         is_whole<T>(a.mean, a.rows, a.columns, a.mean_stride) &&
         is_whole<T>(a.logvar, a.rows, a.columns, a.logvar_stride) &&
         is_whole<T>(a.by_mean, a.rows, a.columns, a.columns) &&
         is_whole<T>(a.by_logvar, a.rows, a.columns, a.columns);
}

// Calls f(T{}, std::bool_constant<whole>) of what the arguments are.
template <typename Args, typename F>
void with_form(const Args& args, const F& f) {
  const auto of = [&](auto value) {
    if (is_whole<decltype(value)>(args))
      f(value, std::true_type{});
    else
      f(value, std::false_type{});
  };
  switch (args.real) {
    case Real::kFloat32: return of(float{});
    case Real::kFloat16: return of(Half{});
    case Real::kBFloat16: return of(BFloat16{});
  }
}

}  // namespace genfast::cuda
