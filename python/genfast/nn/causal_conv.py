"""The convolution behind every causal layer: compiled where it can be, else cropped."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from genfast.ops import masked_conv2d
from genfast.ops.masked_conv2d import refusal

__all__ = ["causal_conv2d"]


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
    CPU; the cropped form serves other dtypes and devices, autocast, transforms of `torch.func`,
    forward-mode derivatives and the exporter of ONNX, which knows no such operator. A gradient that
    is differentiated again is plain, too: see `genfast.ops.masked_conv2d`.

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
    """Whether the compiled operator serves."""
    return (
        refusal(input, weight, bias, mask) is None
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
