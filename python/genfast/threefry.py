"""Threefry2x32-20, over whatever has integers' operators; it imports nothing.

Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["WORD", "threefry2x32"]

WORD = 0xFFFFFFFF
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_Word = TypeVar("_Word", bound=Any)


def threefry2x32(k0: _Word, k1: _Word, c0: _Word, c1: _Word) -> tuple[_Word, _Word]:
    """The two words of counter (c0, c1) under key (k0, k1).

    Args:
        k0, k1, c0, c1: Words below 2**32: ints, or int64 arrays or tensors that broadcast.
    """
    keys = (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)
    x0, x1 = (c0 + k0) & WORD, (c1 + k1) & WORD
    for group in range(5):
        for r in _ROTATIONS[group % 2]:
            x0 = (x0 + x1) & WORD
            x1 = ((x1 << r | x1 >> (32 - r)) & WORD) ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & WORD
        x1 = (x1 + (keys[(group + 2) % 3] + (group + 1))) & WORD
    return x0, x1
