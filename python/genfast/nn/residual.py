"""ResidualBlock of the original PixelCNN, and the 1x1 convolutions between masked layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from genfast.nn.conditioning import Conditioning
from genfast.nn.masked_conv import MaskedConv2d
from genfast.nn.masks import group_sizes

__all__ = ["ResidualBlock", "pointwise"]


class ResidualBlock(nn.Module):
    """A residual block of PixelCNN: van den Oord et al. 2016a, figure 5, left::

        x -- relu - 1x1, 2h->h - relu - 3x3 mask B, h->h - relu - 1x1, h->2h -- + --
         \\___________________________________________________________________/

    Conditions are added to what the 3x3 gives.

    Args:
        width: h.
        groups: Groups of channels, one for each channel of a pixel that is drawn by itself.
        conditions: `classes`, `vector`, `features`, as of `Conditioning`.
    """

    def __init__(self, width: int, groups: int = 1, **conditions: int | None) -> None:
        super().__init__()
        sizes = group_sizes(width, groups)
        self.reduce = pointwise(2 * width, width, groups)
        self.conv = MaskedConv2d("B", width, width, 3, in_groups=sizes, out_groups=sizes)
        self.condition = Conditioning(width, **conditions)
        self.expand = pointwise(width, 2 * width, groups)

    def forward(
        self, input: Float[Tensor, "n double h w"], **conditions: Any
    ) -> Float[Tensor, "n double h w"]:
        """(N, 2h, H, W) of the same shape as `input`."""
        inner = self.reduce(input.relu()).relu()
        inner = self.condition(self.conv(inner), **conditions).relu()
        output: Tensor = input + self.expand(inner)
        return output


def pointwise(
    in_channels: int,
    out_channels: int,
    groups: int,
    *,
    out_groups: Sequence[int] | None = None,
    bias: bool = True,
) -> nn.Conv2d:
    """A 1x1 convolution between features; masked only where there are groups."""
    if groups == 1:
        return nn.Conv2d(in_channels, out_channels, 1, bias=bias)
    return MaskedConv2d(
        "B",
        in_channels,
        out_channels,
        1,
        in_groups=group_sizes(in_channels, groups),
        out_groups=out_groups or group_sizes(out_channels, groups),
        bias=bias,
    )
