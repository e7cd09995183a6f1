"""Ways to compute a masked convolution, all but one plain PyTorch; all give the same results.

| form          | what is computed                                                         |
|---------------|--------------------------------------------------------------------------|
| usual         | `conv2d(x, weight * mask)`: every tap, about half of them times 0        |
| masked once   | `conv2d(x, weight)`, the weight masked before, its gradient after a step |
| cropped       | the live rows, on an image padded above; `conv2d` pads the sides         |
| cropped whole | the same on an image padded above and at the sides                       |
| sliced        | the live rows, padded above and below; rows too many are cut off         |
| cropped views | as cropped, its gradient a view of the padded image's, not a copy        |
| two parts     | the rows above as one convolution, what is left of a pixel as another    |
| unfolded      | `unfold`, then one product over the live taps                            |
| gathered      | the live taps' shifted images side by side, then one product             |
| shifted       | one product a live tap, added up in place, on images as lists of pixels  |
| operator      | `genfast.ops.masked_conv2d`, compiled: the live taps alone               |

Each is a function of x (N, in, H, W), weight (out, in, k, k), bias (out,) and a `Mask`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear, pad, unfold

from genfast.nn import causal_mask
from genfast.ops import masked_conv2d


@dataclass(frozen=True)
class Mask:
    """The mask of a k x k kernel, kind "A" or "B"; `p` is k // 2."""

    kind: Any
    k: int

    @property
    def p(self) -> int:
        return self.k // 2

    @cached_property
    def values(self) -> Tensor:
        """(1, 1, k, k) of 0 and 1."""
        return causal_mask(self.kind, self.k)

    @property
    def left(self) -> int:
        """Live taps of the pixel's own row; they come first."""
        return self.p + (self.kind == "B")

    @property
    def taps(self) -> list[tuple[int, int]]:
        """Rows and columns of the live taps; flattened, they are the kernel's first."""
        live: list[list[int]] = self.values[0, 0].nonzero().tolist()
        return [(row, column) for row, column in live]

    def cropped(self, weight: Tensor) -> Tensor:
        """The live rows of a weight, their dead taps 0."""
        return weight[:, :, : self.p + 1] * self.values[:, :, : self.p + 1]


Form = Callable[[Tensor, Tensor, Tensor, Mask], Tensor]


def usual(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    return conv2d(x, weight * mask.values, bias, padding=mask.p)


def masked_once(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    return conv2d(x, weight, bias, padding=mask.p)


def cropped(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    return conv2d(pad(x, (0, 0, mask.p, 0)), mask.cropped(weight), bias, padding=(0, mask.p))


def cropped_whole(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    return conv2d(pad(x, (mask.p, mask.p, mask.p, 0)), mask.cropped(weight), bias)


def sliced(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    return conv2d(x, mask.cropped(weight), bias, padding=mask.p)[:, :, : x.shape[2]]


def cropped_views(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    result: Tensor = _CroppedViews.apply(x, mask.cropped(weight), bias)
    return result


def two_parts(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    p, height, width = mask.p, *x.shape[2:]
    above = conv2d(x, weight[:, :, :p], padding=p)[:, :, :height]
    left = conv2d(x, weight[:, :, p : p + 1, : mask.left], bias, padding=(0, p))
    return above + left[..., :width]


def unfolded(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    (n, _, height, width), p, live = x.shape, mask.p, len(mask.taps)
    patches = unfold(pad(x, (p, p, p, 0)), (p + 1, mask.k)).unflatten(1, (x.shape[1], -1))
    kernel = weight.flatten(2)[..., :live].flatten(1)
    scores = kernel @ patches[:, :, :live].flatten(1, 2) + bias[:, None]
    return scores.reshape(n, -1, height, width)


def gathered(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    (height, width), p = x.shape[2:], mask.p
    image = pad(x.permute(0, 2, 3, 1), (0, 0, p, p, p, 0))
    views = [image[:, y : y + height, c : c + width] for y, c in mask.taps]
    kernel = weight.flatten(2)[..., : len(views)].transpose(1, 2).flatten(1)
    return linear(torch.cat(views, -1), kernel, bias).permute(0, 3, 1, 2)


def shifted(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    result: Tensor = _Shifted.apply(x, weight, bias, mask)
    return result


def operator(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
    return masked_conv2d(x, weight, bias, mask.values)


#: The form that is not plain PyTorch.
OPERATOR = "operator"
#: Forms by name, and whether each is tried in NCHW, in channels_last.
FORMS: dict[str, tuple[Form, tuple[bool, ...]]] = {
    "usual": (usual, (False, True)),
    "masked once": (masked_once, (False, True)),
    "cropped": (cropped, (False, True)),
    "cropped whole": (cropped_whole, (False, True)),
    "sliced": (sliced, (False, True)),
    "cropped views": (cropped_views, (True,)),
    "two parts": (two_parts, (False, True)),
    "unfolded": (unfolded, (False,)),
    "gathered": (gathered, (True,)),
    "shifted": (shifted, (True,)),
    OPERATOR: (operator, (False, True)),
}


class _CroppedViews(torch.autograd.Function):
    """`conv2d` on an image padded above; padding's own backward would copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        p = weight.shape[3] // 2
        padded = pad(x, (0, 0, p, 0))
        ctx.save_for_backward(padded, weight)
        return conv2d(padded, weight, bias, padding=(0, p))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        padded, weight = ctx.saved_tensors
        p = weight.shape[3] // 2
        geometry = ([1, 1], [0, p], [1, 1], False, [0, 0], 1)
        wanted = [True, True, False]
        by = torch.ops.aten.convolution_backward(grad, padded, weight, None, *geometry, wanted)
        return by[0][:, :, p:], by[1], grad.sum((0, 2, 3))


class _Shifted(torch.autograd.Function):
    """Images padded above and left, as one list of pixels: a tap is the list from an offset on.

    The right border of a row is the left border of the next one; p pixels follow the last image.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
        (n, channels, height, width), p = x.shape, mask.p
        rows, columns = height + p, width + p
        pixels = x.new_zeros(n * rows * columns + p, channels)
        image = pixels[: n * rows * columns].view(n, rows, columns, channels)
        image[:, p:, p:] = x.permute(0, 2, 3, 1)
        taps = [(y * columns + c, y, c) for y, c in mask.taps]
        kernel = weight.permute(2, 3, 1, 0).contiguous()
        count = n * rows * columns - p * columns - p
        out = bias.expand(count, -1).contiguous()
        for offset, y, c in taps:
            out.addmm_(pixels[offset : offset + count], kernel[y, c])
        strides = (rows * columns * len(bias), columns * len(bias), len(bias), 1)
        ctx.save_for_backward(pixels, kernel)
        ctx.geometry = taps, count, strides, p
        return out.as_strided((n, height, width, len(bias)), strides).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        pixels, kernel = ctx.saved_tensors
        taps, count, strides, p = ctx.geometry
        n, channels, height, width = grad.shape
        rows, columns = height + p, width + p
        spread = grad.new_zeros(n * rows * columns, channels)
        spread.as_strided((n, height, width, channels), strides).copy_(grad.permute(0, 2, 3, 1))
        spread = spread[:count]
        by_pixels, by_kernel = torch.zeros_like(pixels), torch.zeros_like(kernel)
        for offset, y, c in taps:
            by_pixels[offset : offset + count].addmm_(spread, kernel[y, c].T)
            torch.mm(pixels[offset : offset + count].T, spread, out=by_kernel[y, c])
        image = by_pixels[: n * rows * columns].view(n, rows, columns, -1)[:, p:, p:]
        by_bias = grad.sum((0, 2, 3))
        return image.permute(0, 3, 1, 2), by_kernel.permute(3, 2, 0, 1), by_bias, None
