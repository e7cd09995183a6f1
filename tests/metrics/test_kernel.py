"""The kernel distance is that of moments that are known, without bias, and its error is honest."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from sklearn.metrics.pairwise import polynomial_kernel

from genfast.metrics import kernel_distance

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(n: int, f: int, seed: int) -> torch.Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


def test_gaussians_whose_distance_is_known() -> None:
    """(x y + 1)^3 compares the first three moments, 3 m1^2 + 3 m2^2 + m3^2 of their differences."""
    mean, sigma = 0.5, 1.5
    found = kernel_distance(normal(10_000, 1, 1), mean + sigma * normal(12_000, 1, 2), subsets=20)
    second, third = mean**2 + sigma**2 - 1, mean**3 + 3 * mean * sigma**2
    expected = 3 * mean**2 + 3 * second**2 + third**2
    assert found.standard_error < 0.1 * expected
    assert found.value == pytest.approx(expected, abs=4 * found.standard_error)


def test_over_all_shuffles_it_is_the_estimate_of_the_formula() -> None:
    """Every pair of rows meets as often as any other."""
    a, b = normal(14, 5, 1).double(), normal(18, 5, 2).double() + 1
    k = [polynomial_kernel(x, y, degree=3) for x, y in ((a, a), (b, b), (a, b))]
    others = [float(m.sum() - m.trace()) / (len(m) * (len(m) - 1)) for m in k[:2]]
    expected = sum(others) - 2 * float(k[2].mean())
    found = [kernel_distance(a, b, subsets=2, seed=seed).value for seed in range(400)]
    error = statistics.stdev(found) / math.sqrt(len(found))
    assert error < 0.05 * expected
    assert statistics.fmean(found) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("f", [1, 8])
def test_equal_distributions_are_0_within_errors(f: int) -> None:
    scores = []
    for seed in range(60):
        found = kernel_distance(normal(200, f, 2 * seed), normal(300, f, 2 * seed + 1), seed=seed)
        scores.append(found.value / found.standard_error)
    values = torch.tensor(scores)
    assert abs(float(values.mean())) < 0.5  # six standard errors of Student's t with 9 degrees
    assert (values.abs() < 2).float().mean() > 0.8
    assert 0.2 < (values < 0).float().mean() < 0.8


def test_the_error_is_the_spread_over_repetitions() -> None:
    found = [
        kernel_distance(normal(200, 4, seed), normal(200, 4, seed + 1000) + 0.5)
        for seed in range(80)
    ]
    spread = float(torch.tensor([one.value for one in found]).std())
    told = float(torch.tensor([one.standard_error for one in found]).square().mean().sqrt())
    assert told == pytest.approx(spread, rel=0.3)


def test_the_seed_alone_chooses_the_subsets() -> None:
    a, b = normal(60, 3, 1), normal(50, 3, 2)
    assert kernel_distance(a, b, seed=5) == kernel_distance(a.double(), b.double(), seed=5)
    assert kernel_distance(a, b, seed=5) != kernel_distance(a, b, seed=6)


def test_rows_beyond_one_chunk_count() -> None:
    a, b = normal(4200, 2, 1), normal(4200, 2, 2) * 1.5
    found = kernel_distance(a, b, subsets=2)
    expected = 3 * 2 * (1.25 / 2) ** 2  # of x^T y / 2: second moments alone differ
    assert found.value == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (19, {}, "a must have at least 20 rows, two for each of 10 subsets, got 19"),
        (30, {"subsets": 16}, "a must have at least 32 rows, two for each of 16 subsets, got 30"),
        (30, {"subsets": 1}, "subsets must be at least 2, got 1"),
        (30, {"subsets": 2.5}, "subsets must be an integer, got 2.5"),
    ],
)
def test_too_few_samples(n: int, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^kernel_distance: {message}"):
        kernel_distance(normal(n, 3, 1), normal(40, 3, 2), **options)


def test_bad_sets() -> None:
    a = normal(30, 3, 1)
    with pytest.raises(ValueError, match=r"kernel_distance: b must be .* rows of \(3,\) as a has"):
        kernel_distance(a, normal(30, 4, 1))
    with pytest.raises(ValueError, match=r"kernel_distance: b must be finite .* got inf at \[0, 0"):
        kernel_distance(a, a + math.inf)
