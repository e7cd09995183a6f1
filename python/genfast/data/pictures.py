"""Images side by side in one picture, for people."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
from jaxtyping import Shaped
from torch import Tensor

__all__ = ["grid", "png"]

Pixels = npt.NDArray[np.uint8]

# Between tiles and where there is none; neither the black nor the white of a tile.
_GAP_COLOUR = 96
# Pixels that a tile is at least high or wide: smaller ones cannot be recognised on a screen.
_SEEN = 48


def grid(
    x: Shaped[Tensor, "n c h w"], levels: int | None = None, columns: int | None = None
) -> Pixels:
    """Images as tiles, row by row::

        0 1 2        columns = 3, and a gap of one or more pixels around each
        3 4 .

    Args:
        x: int64 (N, C, H, W) in [0, levels), 1 or 3 channels; level 0 is black, the last one white.
            What is below 0 is not known, and shown as the gap is.
        levels: At least 2; None for float shares of white, in [0, 1].
        columns: Tiles of a row; as many as rows when None.

    Returns:
        uint8 (height, width, C). Small images are shown larger, each pixel as a square.

    Raises:
        ValueError: There is no image, or it has neither 1 nor 3 channels.
    """
    n, c, h, w = x.shape
    if n < 1 or c not in (1, 3):
        raise ValueError(f"grid: x must be (N, C, H, W), N >= 1, C = 1 or 3, got {tuple(x.shape)}")
    columns = columns or math.ceil(math.sqrt(n))
    rows, scale = -(-n // columns), max(1, math.ceil(_SEEN / max(h, w)))
    gap, high, wide = max(2, scale // 2), h * scale, w * scale
    shape = (rows * (high + gap) + gap, columns * (wide + gap) + gap, c)
    whole = np.full(shape, _GAP_COLOUR, dtype=np.uint8)
    grey = (x * 255).round() if levels is None else x * 255 // (levels - 1)
    shown = grey.where(x >= 0, _GAP_COLOUR)
    tiles = shown.cpu().numpy().astype(np.uint8)
    for i, tile in enumerate(tiles.transpose(0, 2, 3, 1)):
        row, column = divmod(i, columns)
        top, left = gap + row * (high + gap), gap + column * (wide + gap)
        whole[top : top + high, left : left + wide] = tile.repeat(scale, 0).repeat(scale, 1)
    return whole


def png(pixels: Pixels) -> bytes:
    """A PNG file of uint8 (height, width, 1 or 3)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
