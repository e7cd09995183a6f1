"""Masks of convolutions over images that are drawn row by row, and groups of their channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from genfast.files.limits import checked_size

__all__ = ["Kind", "causal_mask", "check_kind", "group_sizes", "odd_sizes"]

Kind = Literal["A", "B"]


def causal_mask(
    kind: Kind, kernel_size: int | Sequence[int], outputs: int = 1, inputs: int = 1, groups: int = 1
) -> Float[Tensor, "outputs inputs rows columns"]:
    """Which taps of a kernel a pixel may see, for each pair of channel groups::

        1 1 1 1 1      above the pixel, and left of it in its row: always
        1 1 1 1 1      c: at the pixel itself, by the groups, as below
        1 1 c 0 0      right of it and below: never
        0 0 0 0 0
        0 0 0 0 0

        A  from r g b      B  from r g b       A: groups before its own, whose values are drawn;
        to r    0 0 0      to r    1 0 0          without groups none
        to g    1 0 0      to g    1 1 0       B: its own, too, which saw no more than that
        to b    1 1 0      to b    1 1 1

    Source: van den Oord et al. 2016a, Pixel Recurrent Neural Networks, section 3.4 and figure 2.

    Args:
        kind: "A" for a layer that sees pixels, "B" for one that sees features of an A.
        kernel_size: Rows and columns, both odd; one number for both.
        outputs: Runs of output channels; run j belongs to group `j % groups`.
        inputs: The same of the input channels.
        groups: Groups of channels, in the order in which a pixel's channels are drawn.

    Returns:
        float32 of 0 and 1 on the CPU.

    Raises:
        ValueError: A kernel is even, or `kind` is another.
    """
    check_kind("causal_mask", kind)
    rows, columns = odd_sizes("causal_mask", kernel_size)
    mask = torch.zeros(outputs, inputs, rows, columns, device="cpu")
    mask[:, :, : rows // 2] = 1
    mask[:, :, rows // 2, : columns // 2] = 1
    to = torch.arange(outputs, device="cpu")[:, None] % groups
    of = torch.arange(inputs, device="cpu") % groups
    mask[:, :, rows // 2, columns // 2] = (of < to if kind == "A" else of <= to).float()
    return mask


def group_sizes(channels: int, groups: int) -> tuple[int, ...]:
    """Channels of each group, as equal as can be, the first ones larger.

    Example:
        >>> group_sizes(32, 3)
        (11, 11, 10)
    """
    return tuple((channels + groups - 1 - i) // groups for i in range(groups))


def odd_sizes(name: str, kernel_size: int | Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a kernel, or ValueError unless both are odd."""
    sizes = tuple(kernel_size) if isinstance(kernel_size, Sequence) else (kernel_size,) * 2
    if len(sizes) != 2:
        raise ValueError(f"{name}: kernel_size must be one number or two, got {kernel_size!r:.80}")
    rows, columns = (checked_size(f"{name}: kernel_size", size, _MOST_KERNEL) for size in sizes)
    if rows % 2 == 0 or columns % 2 == 0:
        raise ValueError(f"{name}: kernel_size must be odd, got {kernel_size!r:.80}")
    return rows, columns


def check_kind(name: str, kind: object) -> None:
    """ValueError unless a mask is of kind A or B."""
    if kind not in ("A", "B"):
        raise ValueError(f"{name}: kind must be 'A' or 'B', got {kind!r:.80}")


_MOST_KERNEL = 1_025
