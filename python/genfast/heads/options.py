"""What bends a draw, whatever the head."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["DrawOptions"]


class DrawOptions(NamedTuple):
    """What bends a draw, one value a row.

    temperature float32 (N,), 0 for the best class; top_k int64 (N,), 0 for off; top_p float32 (N,),
    1 for off.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
