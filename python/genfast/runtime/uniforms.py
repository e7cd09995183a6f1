"""The uniforms of `genfast.random`, to the bit, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genfast.threefry import WORD, threefry2x32

__all__ = ["uniforms"]


def uniforms(
    seed: NDArray[np.int64], index: NDArray[np.int64], first: NDArray[np.int64], draws: int
) -> NDArray[np.float32]:
    """The draws `first .. first + draws - 1` of each row; the caller has checked the ranges.

    Args:
        seed: int64 (N,), 0 <= seed < 2**63.
        index: int64 (N,), 0 <= index < 2**32.
        first: int64 (N,), number of the draw in column 0.
        draws: Columns; first + draws <= 2**33.

    Returns:
        float32 (N, draws), multiples of 2**-24 in [0, 1).
    """
    seed, index = seed[:, None], index[:, None]
    draw = first[:, None] + np.arange(draws)
    low, high = threefry2x32(seed & WORD, seed >> 32, index, draw >> 1)
    word = np.where(draw & 1 == 0, low, high)
    return (word >> 8).astype(np.float32) * np.float32(2.0**-24)
