"""The two networks of PixelCNN: from encoded pixels to the scores of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from genfast.nn import Conditioning, GatedBlock, MaskedConv2d, ResidualBlock, group_sizes
from genfast.nn.residual import pointwise

__all__ = ["FIRST_KERNEL", "KERNEL", "NETWORKS", "GatedNetwork", "MaskedNetwork"]

#: Sides of the first layer's kernel, and of all others.
FIRST_KERNEL, KERNEL = 7, 3


class MaskedNetwork(nn.Module):
    """The original PixelCNN: van den Oord et al. 2016a, table 1 (7x7 mask A, h of mask B, two 1x1).

    Args:
        in_groups: Encoded channels of each group; several where the channels of a pixel are drawn
            one by one.
        parts: D, draws of the head at a pixel.
        parameters: P, parameters of a draw.
        width: h; features between blocks are 2h wide.
        depth: Residual blocks.
        conditions: `classes`, `vector`, `features`, as of `Conditioning`.
    """

    def __init__(
        self,
        in_groups: Sequence[int],
        parts: int,
        parameters: int,
        width: int,
        depth: int,
        **conditions: int | None,
    ) -> None:
        super().__init__()
        self.in_groups, self.parts, self.parameters_of_part = tuple(in_groups), parts, parameters
        groups = len(self.in_groups)
        self.first = MaskedConv2d(
            "A",
            sum(self.in_groups),
            2 * width,
            FIRST_KERNEL,
            in_groups=self.in_groups,
            out_groups=group_sizes(2 * width, groups),
        )
        self.condition = Conditioning(2 * width, **conditions)
        blocks = (ResidualBlock(width, groups, **conditions) for _ in range(depth))
        self.blocks = nn.ModuleList(blocks)
        self.mid = pointwise(2 * width, 2 * width, groups)
        self.readout = pointwise(2 * width, parts * parameters, groups)

    def forward(
        self, input: Float[Tensor, "n in h w"], **conditions: Any
    ) -> Float[Tensor, "n h w parts parameters"]:
        """Scores of every pixel."""
        features = self.condition(self.first(input), **conditions)
        for block in self.blocks:
            features = block(features, **conditions)
        scores: Tensor = self.readout(self.mid(features.relu()).relu())
        return _as_sites(scores, self.parts)


class GatedNetwork(nn.Module):
    """Gated PixelCNN: van den Oord et al. 2016b, two stacks, skips summed, two 1x1.

    Args:
        in_groups: Encoded channels of each group; several where the channels of a pixel are drawn
            one by one.
        parts: D, draws of the head at a pixel.
        parameters: P, parameters of a draw.
        width: Channels of both stacks; skips are twice as wide.
        depth: Layers, the 7x7 one included.
        conditions: `classes`, `vector`, `features`, as of `Conditioning`.
    """

    def __init__(
        self,
        in_groups: Sequence[int],
        parts: int,
        parameters: int,
        width: int,
        depth: int,
        **conditions: int | None,
    ) -> None:
        super().__init__()
        self.in_groups, self.parts, self.parameters_of_part = tuple(in_groups), parts, parameters
        groups = len(self.in_groups)
        self.blocks = nn.ModuleList(
            GatedBlock(
                "A" if layer == 0 else "B",
                width if layer else sum(self.in_groups),
                width,
                KERNEL if layer else FIRST_KERNEL,
                2 * width,
                in_groups=group_sizes(width, groups) if layer else self.in_groups,
                last=layer == depth - 1,
                skip_bias=layer == 0,
                **conditions,
            )
            for layer in range(depth)
        )
        self.mid = pointwise(2 * width, 2 * width, groups)
        self.readout = pointwise(2 * width, parts * parameters, groups)

    def forward(
        self, input: Float[Tensor, "n in h w"], **conditions: Any
    ) -> Float[Tensor, "n h w parts parameters"]:
        """Scores of every pixel."""
        v = h = input
        skips: Tensor | None = None
        for block in self.blocks:
            v, h, skip = block(v, h, **conditions)
            skips = skip if skips is None else skips + skip
        assert skips is not None
        scores: Tensor = self.readout(self.mid(skips.relu()).relu())
        return _as_sites(scores, self.parts)


#: The networks by the name of their variant.
NETWORKS: dict[str, type[MaskedNetwork | GatedNetwork]] = {
    "masked": MaskedNetwork,
    "gated": GatedNetwork,
}


def _as_sites(scores: Tensor, parts: int) -> Tensor:
    """(N, D*P, H, W), the parameters of a part together, as (N, H, W, D, P)."""
    n, channels, height, width = scores.shape
    apart = scores.reshape(n, parts, channels // parts, height, width)
    return apart.permute(0, 3, 4, 1, 2)
