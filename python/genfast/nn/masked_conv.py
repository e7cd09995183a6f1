"""MaskedConv2d: a convolution that sees only what is drawn before a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genfast.files.limits import checked_size
from genfast.nn.causal_conv import causal_conv2d
from genfast.nn.masks import Kind, causal_mask, check_kind, odd_sizes

__all__ = ["MaskedConv2d"]

# Pixels of many embedded channels and scores of many levels are wider than layers are.
_MOST = 2**24


class MaskedConv2d(nn.Conv2d):
    """nn.Conv2d of as many rows and columns out as in, that sees only what is drawn already.

    A 5x5 kernel of kind A, and one of kind B, for a pixel of one channel::

        1 1 1 1 1      1 1 1 1 1      taps of 0 are dead: their weights are there, so that the
        1 1 1 1 1      1 1 1 1 1      layout is torch's, and do nothing
        1 1 0 0 0      1 1 1 0 0
        0 0 0 0 0      0 0 0 0 0
        0 0 0 0 0      0 0 0 0 0

    With groups of channels, one for each channel of a pixel, green sees red at the same pixel, and
    blue sees both: `causal_mask` draws it.

    In float32 on the CPU it is computed by `genfast.ops.masked_conv2d`; in other dtypes, on other
    devices, under autocast, `torch.func` or forward-mode derivatives, when exported by torch.onnx,
    and where a kernel has one tap, by a plain convolution of its live rows.

    Source: van den Oord et al. 2016a, section 3.4.

    Args:
        kind: "A" for a layer that sees pixels, "B" for one that sees features of an A.
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Odd; one number, or rows and columns.
        in_groups: Sizes of the groups of input channels, in order; one group when None.
        out_groups: Sizes of runs of output channels, which take the groups in turns: with three
            groups `(3, 2, 2, 3, 2, 2)` are the two halves of a gate. One group when None.
        bias: Whether to add one.

    Attributes:
        mask: (runs out, groups in, rows, columns) of 0 and 1, a buffer that is not saved.

    Raises:
        ValueError: An even kernel, a size out of range, or groups that do not add up.
    """

    mask: Tensor

    def __init__(
        self,
        kind: Kind,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        *,
        in_groups: Sequence[int] | None = None,
        out_groups: Sequence[int] | None = None,
        bias: bool = True,
    ) -> None:
        check_kind("MaskedConv2d", kind)
        rows, columns = odd_sizes("MaskedConv2d", kernel_size)
        checked_size("MaskedConv2d: in_channels", in_channels, _MOST)
        checked_size("MaskedConv2d: out_channels", out_channels, _MOST)
        padding = (rows // 2, columns // 2)
        super().__init__(in_channels, out_channels, (rows, columns), padding=padding, bias=bias)
        self.kind: Kind = kind
        self.in_groups = _sizes("in_groups", in_groups, in_channels)
        self.out_groups = _sizes("out_groups", out_groups, out_channels)
        runs, groups = len(self.out_groups), len(self.in_groups)
        if runs % groups:
            raise ValueError(
                f"MaskedConv2d: out_groups must be as many as in_groups, or a multiple of "
                f"{groups}, got {runs}"
            )
        mask = causal_mask(kind, (rows, columns), runs, groups, groups)
        # A mask is a part of the code, not of the weights: it is real on the meta device, too.
        default = self.weight.device
        self.register_buffer("mask", mask if default.type == "meta" else mask.to(default), False)

    def extra_repr(self) -> str:
        groups = ""
        if len(self.in_groups) > 1:
            groups = f", in_groups={self.in_groups}, out_groups={self.out_groups}"
        return f"{self.kind}, {super().extra_repr()}{groups}"  # type: ignore[no-untyped-call]

    def weight_mask(self) -> Float[Tensor, "#out #in rows columns"]:
        """The mask of every weight, in their layout; (1, 1, rows, columns) without groups."""
        if self.mask.shape[:2] == (1, 1):
            return self.mask
        runs = zip(torch.split(self.mask, 1), self.out_groups, strict=True)
        mask = torch.cat([run.expand(size, -1, -1, -1) for run, size in runs])
        groups = zip(torch.split(mask, 1, dim=1), self.in_groups, strict=True)
        return torch.cat([group.expand(-1, size, -1, -1) for group, size in groups], 1)

    def forward(self, input: Float[Tensor, "n in h w"]) -> Float[Tensor, "n out h w"]:
        """The convolution, 0 outside the image.

        Args:
            input: (N, in_channels, H, W), in the dtype of the weights.
        """
        above, left = self.weight.shape[2] // 2, self.weight.shape[3] // 2
        mask = self.weight_mask()
        return causal_conv2d(input, self.weight, self.bias, mask, above=above, left=left)


def _sizes(name: str, sizes: Sequence[int] | None, channels: int) -> tuple[int, ...]:
    """Sizes of groups that add up to `channels`, or ValueError."""
    sizes = (channels,) if sizes is None else tuple(sizes)
    if not sizes or min(sizes) < 0 or sum(sizes) != channels:
        raise ValueError(f"MaskedConv2d: {name} must add up to {channels}, got {sizes}")
    return sizes
