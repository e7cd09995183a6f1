// masked_conv2d: a convolution of as many rows and columns out as in, over live taps alone, and its
// gradients. float32 on the CPU. Every output element is one chain, from the bias, in the order of
// the taps and of channels; the gradient by weights is summed in parts that are a function of the
// shape alone: the bits are the same for any number of threads.
#pragma once

#include <cstdint>

#include "core/tensor.h"
#include "ops/engine.h"

namespace genfast::ops {

struct MaskedConv2d {
  core::Tensor weight;                 // (out, in, rows, columns)
  const core::Tensor* mask = nullptr;  // (out or 1, in or 1, rows, columns): 0 is dead; or null
  int64_t above = 0;                   // rows and columns from the kernel's first tap to its pixel
  int64_t left = 0;
};

// input (n, rows, columns, in), bias (out,) or null; output (n, rows, columns, out), overwritten.
// Throws std::invalid_argument naming what does not fit.
void masked_conv2d(
    const MaskedConv2d& layer,
    const core::Tensor& input,
    const core::Tensor* bias,
    const core::Tensor& output,
    const Engine& engine);

// grad (n, rows, columns, out) by the output. Gradients asked for are overwritten, null ones left
// out: by_input as input, by_weight as weight, 0 where it is dead, by_bias (out,).
void masked_conv2d_backward(
    const MaskedConv2d& layer,
    const core::Tensor& grad,
    const core::Tensor& input,
    const core::Tensor* by_input,
    const core::Tensor* by_weight,
    const core::Tensor* by_bias,
    const Engine& engine);

}  // namespace genfast::ops
