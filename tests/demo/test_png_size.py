"""PNG as a rival: its files hold the images, and the best packing is not above the others."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genfast.data import Images, digits
from genfast.demo import png_size
from genfast.demo.png_size import png_bits_each, png_bits_together


def test_what_is_counted_can_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(17, (5, 1, 9, 7))
    images, sizes = Images(x, torch.tensor([1, 0, 1, 0, 0]), 17, "some"), []
    seen: list[np.ndarray] = []
    smallest = png_size._smallest

    def counted(pixels: np.ndarray) -> int:
        seen.append(pixels)
        sizes.append(smallest(pixels))
        return sizes[-1]

    monkeypatch.setattr(png_size, "_smallest", counted)
    assert png_bits_together(images) == 8 * min(sizes) / x.numel()
    in_order = x[[1, 3, 4, 0, 2], 0].numpy()
    assert np.array_equal(seen[0], in_order.reshape(5, 63))
    assert np.array_equal(seen[1], in_order.reshape(45, 7))
    assert np.array_equal(seen[2][9:18, 7:14], in_order[3])
    sizes.clear()
    assert png_bits_each(images) == 8 * sum(sizes) / x.numel()
    assert len(sizes) == 5


def test_smallest_is_a_png_of_that_size() -> None:
    pixels = np.random.default_rng().integers(0, 17, (9, 7), dtype=np.uint8)
    files = []
    for strategy in range(5):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=9, compress_type=strategy)
        assert np.array_equal(np.asarray(Image.open(file)), pixels)
        files.append(len(file.getvalue()))
    assert png_size._smallest(pixels) == min(files)


def test_one_file_is_smaller_than_many() -> None:
    held = digits().split()[1]
    assert 3 < png_bits_together(held) < 4
    assert png_bits_each(held) > 10


def test_only_grey_images() -> None:
    with pytest.raises(ValueError, match="images must be grey"):
        png_bits_each(Images(torch.zeros(1, 3, 2, 2).long(), None, 17, "colour"))
