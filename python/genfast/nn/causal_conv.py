"""The convolution behind every causal layer: compiled where it can be, else cropped."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from genfast.ops import masked_conv2d
from genfast.ops.masked_conv2d import serves

__all__ = ["causal_conv2d"]

# Chosen by `bench.bench_masked_conv`, which has all forms, and by layers of PixelCNN. Forward and
# backward, 32 images of 28x28, ms of one thread of an AVX2 machine (Zen 3):
#
#                                         usual, nchw   cropped, channels_last   compiled
#     3x3 of kind B, 64 channels                 91.2                     57.2       35.4
#     the same, 32 and 128 channels                                15.0, 203.8   11.2, 140.2
#     7x7 of kind A, 1 channel to 64                                      15.9        4.7
#     2x3 of the vertical stack, 32 to 64                                 33.8       29.2
#     1x3 of the horizontal stack, 32 to 64                               13.2       10.1
#     1x1 in three groups, 64 to 32                                        4.9        7.3
#
# So: compiled, but for a kernel of one tap, a plain product that oneDNN runs faster. Whole steps of
# PixelCNN, depth 15, ms: masked 32 takes 414 (cropped 685, usual 673), masked 64 1396 (2016, 2167),
# gated 32 1056 (1275, 1275). A single image of 16 channels loses 0.1 ms to the calls.
#
# On a GPU cropped, by cuDNN: nobody has measured whether live taps alone would be faster there.


def causal_conv2d(
    input: Float[Tensor, "n in h w"],
    weight: Float[Tensor, "out in rows columns"],
    bias: Float[Tensor, " out"] | None,
    mask: Float[Tensor, "#out #in rows columns"] | None = None,
    *,
    above: int,
    left: int,
) -> Float[Tensor, "n out h w"]:
    """A convolution whose kernel begins `above` rows and `left` columns before a pixel.

    As many rows and columns come out as go in; outside the image is 0. Compiled for float32 on the
    CPU; the cropped form serves other dtypes and devices (on a GPU cuDNN's), autocast, transforms
    of `torch.func`, forward-mode derivatives and the exporter of ONNX, which knows no such
    operator. A gradient that is differentiated again is plain, too: see
    `genfast.ops.masked_conv2d`.

    Args:
        input: (N, in, H, W).
        weight: (out, in, rows, columns).
        bias: (out,) or None.
        mask: (out or 1, in or 1, rows, columns), 0 where a weight is dead: below the pixel, and in
            a kernel of one row right of it, everywhere. None where all are alive.
        above: Rows above the pixel's own, at most the kernel's rows.
        left: Columns left of the pixel's own.
    """
    if _compiled(input, weight, bias, mask):
        return masked_conv2d(input, weight, bias, mask, above=above, left=left)
    return _cropped(input, weight, bias, mask, above, left)


def _compiled(input: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None) -> bool:
    """Whether the compiled operator serves, and is the faster one."""
    return (
        weight.shape[2:] != (1, 1)
        and serves(input, weight, bias, mask)
        and not torch.is_autocast_enabled("cpu")
        and not torch.onnx.is_in_onnx_export()
    )


def _cropped(
    input: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None, above: int, left: int
) -> Tensor:
    """A plain convolution by the rows that may be alive, on an image padded above."""
    if mask is not None:
        # Rows below are dead; of a kernel of one row what is right of the pixel is, too.
        live = slice(above + 1), slice(left + 1 if above == 0 else None)
        weight = weight[:, :, *live] * mask[:, :, *live]
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
