"""Toy distributions: their moments, and each point a function of its number."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from genfast.data import eight_centres, eight_gaussians


def test_eight_gaussians_are_where_they_are_said_to_be() -> None:
    x = eight_gaussians(80_000, seed=3, radius=3.0, sigma=0.1)
    centres = eight_centres(3.0)
    distances = torch.cdist(x, centres)
    nearest = distances.argmin(-1)
    assert x.dtype == torch.float32
    counts = nearest.bincount(minlength=8)
    assert (counts - 10_000).abs().max() < 5 * math.sqrt(80_000 / 8 * 7 / 8)
    offset = x - centres[nearest]
    assert offset.mean(0).abs().max() < 5 * 0.1 / math.sqrt(80_000)
    assert (offset.std(0) - 0.1).abs().max() < 5 * 0.1 / math.sqrt(2 * 80_000)
    assert (offset.T.corrcoef()[0, 1]).abs() < 5 / math.sqrt(80_000)


def test_centres_stand_on_the_circle_in_order() -> None:
    centres = eight_centres(1.0)
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    torch.testing.assert_close(centres[::2], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(centres.norm(dim=-1), torch.ones(8))


def test_points_are_functions_of_seed_and_number() -> None:
    assert torch.equal(eight_gaussians(7, 5), eight_gaussians(20, 5)[:7])
    assert not torch.equal(eight_gaussians(7, 5), eight_gaussians(7, 6))
    assert eight_gaussians(0).shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": -1.0}, "eight_gaussians: sigma must be at least 0, got -1.0"),
        ({"radius": math.nan}, "eight_gaussians: radius must be at least 0, got nan"),
        ({"n": -1}, "n must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_bad_numbers(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        eight_gaussians(**{"n": 3, **arguments})
