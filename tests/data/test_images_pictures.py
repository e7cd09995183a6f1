"""Grids of images as PNG files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genfast.data import grid, png


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize(("n", "h", "w", "columns"), [(1, 1, 1, None), (5, 9, 7, 2), (7, 40, 1, 3)])
def test_every_pixel_is_where_it_belongs(
    n: int, c: int, h: int, w: int, columns: int | None
) -> None:
    x = torch.randint(17, (n, c, h, w))
    picture = np.asarray(Image.open(io.BytesIO(png(grid(x, 17, columns)))))
    picture = picture.reshape(*picture.shape[:2], c)
    columns = columns or 1
    rows = -(-n // columns)
    scale = max(1, -(-48 // max(h, w)))
    gap = (picture.shape[0] - rows * h * scale) // (rows + 1)
    assert picture.shape == (rows * (h * scale + gap) + gap, columns * (w * scale + gap) + gap, c)
    for i in range(n):
        top = gap + i // columns * (h * scale + gap)
        left = gap + i % columns * (w * scale + gap)
        tile = picture[top : top + h * scale, left : left + w * scale]
        for y in range(scale):
            assert np.array_equal(
                tile[y::scale, scale - 1 - y :: scale], (x[i] * 255 // 16).permute(1, 2, 0).numpy()
            )
    assert len(np.unique(picture[:gap])) == 1


def test_black_white_and_unknown() -> None:
    picture = grid(torch.tensor([0, 1, -1]).view(3, 1, 1, 1), 2, 3)
    gap = picture[0, 0, 0]
    middle = picture[picture.shape[0] // 2, :, 0]
    assert [int(v) for v in dict.fromkeys(middle)] == [int(gap), 0, 255]
    assert middle[-5] == gap


def test_as_many_columns_as_rows() -> None:
    for n, columns in ((1, 1), (4, 2), (5, 3), (9, 3)):
        high, wide, _ = grid(torch.zeros(n, 1, 48, 48).long(), 2).shape
        assert ((wide - 2) // 50, (high - 2) // 50) == (columns, -(-n // columns))


def test_what_is_no_picture() -> None:
    for shape in ((0, 1, 2, 2), (1, 2, 2, 2), (1, 4, 2, 2)):
        with pytest.raises(ValueError, match=r"grid: x must be \(N, C, H, W\)"):
            grid(torch.zeros(shape).long(), 2)
