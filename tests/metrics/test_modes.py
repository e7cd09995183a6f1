"""Planted modes are found, lost ones missed, and strays counted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genfast.metrics import mode_coverage

ANGLE = 2 * math.pi * torch.arange(8) / 8
CENTRES = 2 * torch.stack([ANGLE.cos(), ANGLE.sin()], -1)
SIGMA = 0.05


def planted(counts: list[int], seed: int = 0) -> Tensor:
    modes = torch.arange(8).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(modes), 2, generator=generator)
    return (CENTRES[modes] + SIGMA * noise)[torch.randperm(len(modes), generator=generator)]


def test_all_modes_of_the_distribution_itself() -> None:
    found = mode_coverage(planted([500] * 8), CENTRES, 4 * SIGMA)
    assert (found.covered, found.modes) == (8, 8)
    # Beyond r sigma of two dimensions lie exp(-r^2 / 2): 3.4e-4 of them.
    assert found.high_quality > 0.998
    assert found.divergence == pytest.approx(0, abs=1e-4)
    near = mode_coverage(planted([500] * 8), CENTRES, 2 * SIGMA).high_quality
    assert near == pytest.approx(1 - math.exp(-2), abs=0.02)


@pytest.mark.parametrize(("in_last", "covered"), [(0, 7), (9, 7), (10, 8)])
def test_a_mode_counts_from_a_tenth_of_its_share_on(in_last: int, covered: int) -> None:
    """800 samples, of which 100 are an even share, and 10 a tenth of that."""
    counts = [113] * 6 + [800 - 6 * 113 - in_last, in_last]
    found = mode_coverage(planted(counts), CENTRES, 6 * SIGMA)
    assert found.counts.tolist() == counts
    assert found.covered == covered
    assert mode_coverage(planted(counts), CENTRES, 6 * SIGMA, fair=0.05).covered == (
        covered if not in_last else 8
    )


def test_strays_are_near_no_mode() -> None:
    samples = torch.cat([planted([10] * 8), torch.zeros(20, 2)])
    found = mode_coverage(samples, CENTRES, 6 * SIGMA)
    assert found.counts.tolist() == [10] * 8
    assert found.high_quality == 0.8
    nowhere = mode_coverage(torch.zeros(90, 2), CENTRES, SIGMA)
    assert (nowhere.covered, nowhere.high_quality) == (0, 0)
    assert math.isnan(nowhere.divergence)


def test_divergence_tells_how_uneven_modes_are() -> None:
    one = mode_coverage(planted([90] + [0] * 7), CENTRES, 6 * SIGMA)
    assert one.divergence == pytest.approx(math.log(8))
    half = mode_coverage(planted([90] * 4 + [0] * 4), CENTRES, 6 * SIGMA)
    assert half.divergence == pytest.approx(math.log(2))


def test_the_nearest_centre_has_the_sample() -> None:
    centres = torch.tensor([[0.0], [1.0]])
    found = mode_coverage(torch.full((20, 1), 0.6), centres, 5)
    assert found.counts.tolist() == [0, 20]


def test_the_distance_is_exact_far_from_the_origin() -> None:
    """|x|^2 + |c|^2 - 2 x c loses 1e-4 at 1e6 in float32, and some in float64."""
    centres = torch.tensor([[1e8, 0.0]]).double()
    samples = centres + torch.tensor([[1e-3, 0.0]] * 40)
    assert mode_coverage(samples, centres, 0.9e-3).high_quality == 0
    assert mode_coverage(samples, centres, 1.1e-3).high_quality == 1


@pytest.mark.parametrize(
    ("samples", "centres", "options", "message"),
    [
        (79, 8, {"within": 1.0}, "samples must have at least 80 rows, 1 / 0.1 for each mode, got"),
        (7, 8, {"within": 1.0, "fair": 1}, "samples must have at least 8 rows"),
        (80, 0, {"within": 1.0}, "centres must have at least 1 rows, the modes, got 0"),
        (80, 8, {"within": 0.0}, "within must be a distance above 0, got 0.0"),
        (80, 8, {"within": math.nan}, "within must be a distance above 0, got nan"),
        (80, 8, {"within": 1.0, "fair": 0}, "fair must be above 0 and at most 1, got 0"),
    ],
)  # fmt: skip
def test_bad_input(samples: int, centres: int, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^mode_coverage: {message}"):
        mode_coverage(torch.zeros(samples, 2), torch.zeros(centres, 2), **options)


def test_bad_sets() -> None:
    with pytest.raises(ValueError, match=r"centres must be .* rows of \(2,\) as samples has"):
        mode_coverage(torch.zeros(80, 2), torch.zeros(8, 3), 1.0)
    with pytest.raises(ValueError, match=r"samples must be finite .* got nan at \[0, 0\]"):
        mode_coverage(torch.full((80, 2), math.nan), torch.zeros(8, 2), 1.0)
