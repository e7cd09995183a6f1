"""Feature maps of a raster program, in groups of channels, and the convolutions that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product

import numpy as np
from numpy.typing import NDArray
from torch import nn

from genfast.models.arrays import Array, weight_array
from genfast.nn import MaskedConv2d, VerticalConv2d
from genfast.program import Add, Buffer, Mat, Ref, Term

__all__ = ["Convolution", "FeatureMap", "rows_of_groups"]


@dataclass(frozen=True)
class FeatureMap:
    """What a layer gives: a buffer for each group of channels, since they are known one by one.

    Args:
        parts: One a group; None where no channel falls to it.
        sizes: Channels of each.
        whole: A buffer of all channels, which a pixel has once it is finished, or None.
    """

    parts: tuple[Buffer | None, ...]
    sizes: tuple[int, ...]
    whole: Buffer | None = None

    @classmethod
    def named(cls, name: str, sizes: Sequence[int]) -> FeatureMap:
        """New buffers, `name` or, of several groups, `name.0`, `name.1`, ..."""
        names = [name] if len(sizes) == 1 else [f"{name}.{group}" for group in range(len(sizes))]
        pairs = zip(names, sizes, strict=True)
        return cls(tuple(Buffer(n, size) if size else None for n, size in pairs), tuple(sizes))

    def add(self, group: int) -> list[Term]:
        """The group as a term."""
        part = self.parts[group]
        return [] if part is None else [Add(part.here)]

    def buffers(self) -> Iterator[tuple[Buffer, slice, slice]]:
        """Every buffer, its groups and its channels: the parts, then the whole."""
        ends = list(accumulate(self.sizes, initial=0))
        for group, part in enumerate(self.parts):
            if part is not None:
                yield part, slice(group, group + 1), slice(ends[group], ends[group + 1])
        if self.whole is not None:
            yield self.whole, slice(0, len(self.sizes)), slice(0, ends[-1])

    def is_read(self, buffer: Buffer, *, here: bool) -> bool:
        """Whether convolutions read this buffer: at the pixel itself a part, elsewhere the whole
        where there is one."""
        return self.whole is None or (buffer == self.whole) != here


@dataclass(frozen=True)
class Convolution:
    """The taps of a convolution that are not dead.

    Args:
        weight: float32 (out, in, rows, columns), masked.
        live: bool (runs of outputs, groups of inputs, rows, columns).
        origin: Where the first tap lies, (dy, dx) from the pixel.
        bias: float32 (out,) or None.
    """

    weight: Array
    live: NDArray[np.bool_]
    origin: tuple[int, int]
    bias: Array | None

    @classmethod
    def of(cls, layer: nn.Conv2d, path: str) -> Convolution:
        """What the weights of a layer say; `path` names it in errors."""
        weight = weight_array(layer, path, "weight")
        bias = None if layer.bias is None else weight_array(layer, path, "bias")
        rows, columns = weight.shape[2:]
        live, above = np.ones((1, 1, rows, columns), np.bool_), rows // 2
        if isinstance(layer, MaskedConv2d):
            live = (layer.mask.detach() != 0).cpu().numpy()
            weight = weight * layer.weight_mask().detach().float().cpu().numpy()
        elif isinstance(layer, VerticalConv2d):
            above = rows - (layer.kind == "B")
        return cls(weight, live, (-above, -(columns // 2)), bias)

    def taps(self, source: FeatureMap, group: int, outputs: NDArray[np.intp]) -> list[Term]:
        """The terms of the outputs of a group: a matrix for every live tap of every part read."""
        # A run of outputs for each group and gate, or one for all; the same of the inputs.
        live = self.live[group % len(self.live)]
        every = slice(None) if len(live) == 1 else None
        terms: list[Term] = []
        for buffer, groups, channels in source.buffers():
            for ky, kx in product(*map(range, live.shape[1:])):
                offset = (self.origin[0] + ky, self.origin[1] + kx)
                is_read = source.is_read(buffer, here=offset == (0, 0))
                if is_read and live[every or groups, ky, kx].any():
                    weight = np.ascontiguousarray(self.weight[outputs, channels, ky, kx])
                    terms.append(Mat(weight, Ref(buffer, *offset)))
        return terms


def rows_of_groups(sizes: Sequence[int], gates: int = 1) -> list[NDArray[np.intp]]:
    """Of each group its rows in a matrix that holds `gates` blocks of all groups, one by one."""
    ends, total = list(accumulate(sizes, initial=0)), sum(sizes)
    return [
        np.concatenate([gate * total + np.arange(*pair) for gate in range(gates)])
        for pair in pairwise(ends)
    ]
