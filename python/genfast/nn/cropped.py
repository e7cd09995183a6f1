"""The convolution behind every causal layer: cropped to the taps that may be alive."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

__all__ = ["cropped_conv2d"]

# Chosen by `bench.bench_masked_conv`, which has all forms. 64 channels, 3x3 of kind B, 32 images of
# 28x28, forward and backward, two threads of an AVX-512 machine, ms:
#
#     conv2d(x, weight * mask)     nchw 19.2 (alone in a process 24.1)     channels_last 16.2
#     cropped to the live rows     nchw 15.4                               channels_last 12.5
#     two parts 21.7, a product over live taps: unfolded 72, gathered 29, one for each tap 17.5
#
# So: cropped, and channels_last. oneDNN runs near the FMA peak then, one tap of six being dead.


def cropped_conv2d(
    input: Float[Tensor, "n in h w"],
    weight: Float[Tensor, "out in rows columns"],
    bias: Float[Tensor, " out"] | None,
    *,
    above: int,
    left: int,
) -> Float[Tensor, "n out h w"]:
    """A convolution whose kernel begins `above` rows and `left` columns before a pixel.

    As many rows and columns come out as go in; outside the image is 0. What the kernel lacks of
    `above + 1` rows it does not see; what it has of more than `left + 1` columns is to the right.

    Args:
        input: (N, in, H, W).
        weight: (out, in, rows, columns), dead taps within set to 0.
        bias: (out,) or None.
        above: Rows above the pixel's own, at least `rows - 1`.
        left: Columns left of the pixel's own.
    """
    rows, columns = weight.shape[2:]
    below, right = rows - 1 - above, columns - 1 - left
    # The same on both sides is left to conv2d: it needs no copy.
    sides = left if left == right else 0
    edges = (left - sides, right - sides, above, below)
    seen = pad(input, edges) if any(edges) else input
    if input.device.type == "cpu":
        # One such operand makes the output channels_last, and so all layers behind this one.
        weight = weight.contiguous(memory_format=torch.channels_last)
    return conv2d(seen, weight, bias, padding=(0, sides))
