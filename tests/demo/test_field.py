"""Pictures of the game of two numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genfast import GAN
from genfast.demo.field import FieldPicture

pytestmark = pytest.mark.usefixtures("one_thread")


class Still(nn.Module):
    """Draws one point."""

    def __init__(self, x: float, y: float) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([x, y]))

    def forward(self, z: Tensor) -> Tensor:
        return self.point.expand(len(z), 2)


class Right(nn.Module):
    """Holds what is on the right to be real."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def colour(pixels: np.ndarray, x: float, y: float, reach: float = 3.0) -> list[int]:
    high, wide, _ = pixels.shape
    column, row = int((x + reach) / 2 / reach * wide), int((reach - y) / 2 / reach * high)
    return [int(value) for value in pixels[row, column]]


def test_everything_is_where_it_belongs() -> None:
    model = GAN((2,), generator=Still(1.5, -1.0), discriminator=Right()).eval()
    picture = FieldPicture(torch.tensor([[-2.0, 1.0]]).expand(50, 2), n=50)
    pixels = picture(model, 1200, "8 of 8 modes")
    assert (pixels.dtype, pixels.shape) == (np.uint8, (480, 480, 3))
    red, _, blue = colour(pixels, 1.5, -1.0)
    assert red > blue + 100  # a sample
    red, _, blue = colour(pixels, -2.0, 1.0)
    assert blue > red + 50  # data
    left, right = colour(pixels, -2.8, 0.0), colour(pixels, 2.8, 0.0)
    assert left[0] > left[2] + 20
    assert right[2] > right[0] + 20
    again = picture(model, 1200, "8 of 8 modes")
    assert np.array_equal(again, pixels)
    assert not np.array_equal(picture(model, 1300, "8 of 8 modes"), pixels)


def test_a_flat_field_is_drawn() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x[:, 0]

    model = GAN((2,), generator=Still(0.0, 0.0), discriminator=Flat()).eval()
    assert FieldPicture(torch.zeros(3, 2), n=4)(model, 0).shape == (480, 480, 3)
