"""Upper bounds of a model's sizes, the same for models made by hand and for those of a file.

A file can ask for any size in a few bytes; these bounds are checked before anything is built.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex, cast

__all__ = [
    "MOST_CHANNELS",
    "MOST_CLASSES",
    "MOST_DEPTH",
    "MOST_ELEMENTS",
    "MOST_LEVELS",
    "MOST_MIXTURES",
    "MOST_SIDE",
    "MOST_WIDTH",
    "checked_size",
]

#: Channels of a pixel.
MOST_CHANNELS = 16
#: Classes of a head.
MOST_CLASSES = 2**24
#: Layers.
MOST_DEPTH = 1_024
#: Numbers of a vector.
MOST_ELEMENTS = 2**24
#: Levels of a pixel's channel, codes of an index image.
MOST_LEVELS = 65_536
#: Logistics of a mixture.
MOST_MIXTURES = 1_024
#: Rows or columns of an image.
MOST_SIDE = 16_384
#: Units of a layer, columns of an embedding.
MOST_WIDTH = 65_536


def checked_size(name: str, value: object, most: int) -> int:
    """An integer from 1 to `most`.

    Raises:
        ValueError: It is something else, naming `name`; a bool is no integer here.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(cast(SupportsIndex, value))
    except TypeError:
        number = None
    if number is None:
        raise ValueError(f"{name} must be an integer, got {value!r:.80}")
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    if number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number
