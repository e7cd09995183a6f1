"""GatedBlock: a layer of Gated PixelCNN, two stacks that together see everything drawn before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from genfast.nn.conditioning import Conditioning
from genfast.nn.masked_conv import MaskedConv2d
from genfast.nn.masks import Kind, group_sizes
from genfast.nn.residual import pointwise
from genfast.nn.vertical_conv import VerticalConv2d

__all__ = ["GatedBlock", "gate"]


def gate(a: Float[Tensor, "n double h w"]) -> Float[Tensor, "n width h w"]:
    """tanh(a0) * sigmoid(a1) of the two halves of the channels: 2016b, equation 2."""
    a0, a1 = a.chunk(2, 1)
    return a0.tanh() * a1.sigmoid()


class GatedBlock(nn.Module):
    """A layer of Gated PixelCNN: van den Oord et al. 2016b, figure 2::

        v --[ vertical k x k ]--+------------------ gate -- v'      V V V V V    what the stacks
                                |                                   V V V V V    see at @
                            [ 1x1 across ]                          H H @ . .
                                |
        h --[ horizontal 1 x k ]+-- gate --+--[ 1x1 residual ]-- + -- h'
         \\                                 |                    /
          \\________________________________|___________________/    (not in a layer of kind A)
                                           +--[ 1x1 skip ]-- skip

    The vertical stack sees all rows above a pixel, the horizontal one the pixels left of it and
    the vertical stack: no pixel drawn before is missed, where masks alone leave a blind spot.
    Conditions are added before both gates. Channels of a pixel (`groups`) are told apart in the
    horizontal stack alone: rows above are finished.

    Args:
        kind: "A" for the first layer, which sees pixels; "B" for the others.
        in_channels: Channels of v and h.
        width: Channels of v', h' and of the gates.
        kernel_size: k, odd, at least 3.
        skip_width: Channels of the skip.
        in_groups: Sizes of the groups of h; one group when None.
        last: Whether this is the last layer, of which only the skip is used: it has no v' and h'.
        skip_bias: Whether the skip has a bias; skips are summed, so one of them suffices.
        conditions: `classes`, `vector`, `features`, as of `Conditioning`.
    """

    def __init__(
        self,
        kind: Kind,
        in_channels: int,
        width: int,
        kernel_size: int,
        skip_width: int,
        *,
        in_groups: Sequence[int] | None = None,
        last: bool = False,
        skip_bias: bool = True,
        **conditions: int | None,
    ) -> None:
        super().__init__()
        in_groups = (in_channels,) if in_groups is None else tuple(in_groups)
        groups = len(in_groups)
        self.kind: Kind = kind
        self.vertical = VerticalConv2d(kind, in_channels, 2 * width, kernel_size)
        self.across = nn.Conv2d(2 * width, 2 * width, 1, bias=False)
        self.horizontal = MaskedConv2d(
            kind,
            in_channels,
            2 * width,
            (1, kernel_size),
            in_groups=in_groups,
            out_groups=2 * group_sizes(width, groups) if groups > 1 else None,
        )
        self.vertical_condition = None if last else Conditioning(2 * width, **conditions)
        self.horizontal_condition = Conditioning(2 * width, **conditions)
        self.skip = pointwise(width, skip_width, groups, bias=skip_bias)
        self.residual = None if last else pointwise(width, width, groups)

    def extra_repr(self) -> str:
        return self.kind

    def forward(
        self,
        v: Float[Tensor, "n in h w"],
        h: Float[Tensor, "n in h w"],
        **conditions: Any,
    ) -> tuple[Tensor, Tensor, Float[Tensor, "n skip h w"]]:
        """v', h' (N, width, H, W), of the last layer v and h as they are; and the skip."""
        above = self.vertical(v)
        here = self.horizontal(h) + self.across(above)
        gated = gate(self.horizontal_condition(here, **conditions))
        skip = self.skip(gated)
        if self.vertical_condition is None or self.residual is None:
            return v, h, skip
        v = gate(self.vertical_condition(above, **conditions))
        through = self.residual(gated)
        return v, through if self.kind == "A" else h + through, skip
