"""The Fréchet distance is that of Gaussians whose distance is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from genfast.metrics import frechet_distance, frechet_distance_of_gaussians

pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rotation(f: int, seed: int = 1) -> Tensor:
    return torch.linalg.qr(torch.randn(f, f, generator=generator(seed)).double()).Q


def covariance(f: int, seed: int, rank: int | None = None) -> Tensor:
    rows = torch.randn(rank or 2 * f, f, generator=generator(seed)).double()
    return rows.T @ rows / len(rows)


@pytest.mark.parametrize("f", [1, 2, 17, 64])
def test_covariances_that_share_their_axes(f: int) -> None:
    """|m - m'|^2 + sum (sigma - sigma')^2, whatever the axes are."""
    draws = torch.rand(4, f, generator=generator()).double()
    mean, other, sigma, sigma2 = draws
    axes = rotation(f)
    expected = (mean - other).square().sum() + (sigma - sigma2).square().sum()
    found = frechet_distance_of_gaussians(
        mean, axes @ sigma.square().diag() @ axes.T, other, axes @ sigma2.square().diag() @ axes.T
    )
    assert found == pytest.approx(float(expected), rel=1e-12)


def test_covariances_of_rank_one() -> None:
    """v v^T and w w^T: |v|^2 + |w|^2 - 2 |v w|."""
    v, w = torch.randn(2, 9, generator=generator()).double()
    expected = v @ v + w @ w - 2 * (v @ w).abs()
    zero = torch.zeros(9)
    found = frechet_distance_of_gaussians(zero, v.outer(v), zero, w.outer(w))
    assert found == pytest.approx(float(expected), rel=1e-6)  # the root of a rounded 0


@pytest.mark.parametrize("f", [2, 5, 33])
def test_it_is_the_formula_with_scipy_s_root(f: int) -> None:
    s, t = covariance(f, 1), covariance(f, 2)
    root = scipy.linalg.sqrtm(s.numpy() @ t.numpy()).real
    expected = float(s.trace() + t.trace()) - 2 * np.trace(root)
    zero = torch.zeros(f)
    assert frechet_distance_of_gaussians(zero, s, zero, t) == pytest.approx(expected, rel=1e-9)


def test_samples_of_gaussians_whose_distance_is_known() -> None:
    n, f = 200_000, 3
    a = torch.randn(n, f, generator=generator(3))
    b = 2 * torch.randn(n, f, generator=generator(4)) + torch.tensor([1.0, 0.0, -2.0])
    assert frechet_distance(a, b) == pytest.approx(5 + f, rel=0.01)


def test_samples_have_the_distance_of_their_moments() -> None:
    a = torch.randn(40, 6, generator=generator(3)).double()
    b = (torch.rand(31, 6, generator=generator(4)) @ torch.randn(6, 6)).double()
    moments = [m for x in (a, b) for m in (x.mean(0), torch.from_numpy(np.cov(x.numpy().T)))]
    assert frechet_distance(a, b) == pytest.approx(
        frechet_distance_of_gaussians(*moments), rel=1e-9
    )


def test_symmetries() -> None:
    a = torch.randn(50, 7, generator=generator(3)).double()
    b = torch.rand(60, 7, generator=generator(4)).double()
    distance, axes = frechet_distance(a, b), rotation(7)
    assert frechet_distance(b, a) == pytest.approx(distance, rel=1e-12)
    assert frechet_distance(a @ axes + 5, b @ axes + 5) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(a.flip(0), b) == pytest.approx(distance, rel=1e-12)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, rel=1e-12)
    images = a[:, :6].reshape(50, 1, 2, 3), b[:, :6].reshape(60, 1, 2, 3)
    assert frechet_distance(*images) == frechet_distance(a[:, :6], b[:, :6])


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_small_distances_are_exact(offset: float) -> None:
    """Taken as a difference of traces, 1e-18 of them would be lost."""
    a = torch.randn(500, 8, generator=generator()).double()
    middle = a.mean(0)
    spread = (a - middle).square().sum() / 499
    b = middle + (1 + 1e-7) * (a - middle)
    assert frechet_distance(a + offset, a + offset) < 1e-24 * max(1, offset) ** 2
    expected = float(1e-14 * spread)
    rounding = 1e-6 if not offset else 1e-2
    assert frechet_distance(a + offset, b + offset) == pytest.approx(expected, rel=rounding)


def test_columns_without_variance_do_no_harm() -> None:
    a = torch.randn(50, 4, generator=generator())
    a[:, 2] = 7
    b = a.clone()
    b[:, 2] = 9
    assert frechet_distance(a, b) == pytest.approx(4, rel=1e-9)
    assert frechet_distance(a, a) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64, torch.bool])
def test_any_real_dtype_is_reckoned_in_float64(dtype: torch.dtype) -> None:
    a = torch.randint(2, (50, 5), generator=generator(1))
    b = torch.randint(2, (50, 5), generator=generator(2))
    assert frechet_distance(a.to(dtype), b.to(dtype)) == frechet_distance(a.double(), b.double())


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], torch.zeros(9, 2), r"a must be a tensor \(N, \.\.\.\) of real numbers, got list"),
        (torch.zeros(9), torch.zeros(9, 2), r"a must be a tensor .* got float32 \(9,\)"),
        (torch.zeros(9, 0), torch.zeros(9, 0), r"a must be a tensor .* got float32 \(9, 0\)"),
        (torch.zeros(9, 2).cfloat(), torch.zeros(9, 2), r"a must be .* got complex64 \(9, 2\)"),
        (torch.zeros(9, 2), torch.zeros(9, 3), r"b must be .* rows of \(2,\) as a has, got float32 "
         r"\(9, 3\)"),
        (torch.zeros(9, 2), torch.zeros(2, 2), "b must have at least 3 rows, one more than it has "
         "columns, got 2"),
        (torch.zeros(0, 2), torch.zeros(9, 2), "a must have at least 3 rows, .* got 0"),
        (torch.zeros(9, 2), torch.tensor([[0.0, math.nan]] * 9), r"b must be finite .* got nan at "
         r"\[0, 1\]"),
        (torch.full((9, 2), math.inf), torch.zeros(9, 2), r"a must be finite .* got inf at \[0, 0"),
        (torch.full((9, 2), 1e300, dtype=torch.double), torch.zeros(9, 2), "a must be .* 1e.45"),
    ],
)  # fmt: skip
def test_bad_sets(a: Tensor, b: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^frechet_distance: {message}"):
        frechet_distance(a, b)


EYE = torch.eye(2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((torch.zeros(2), EYE, torch.zeros(3), EYE), r"mean_b must be a tensor \(F,\) with F=2 as "
         r"mean_a, got float32 \(3,\)"),
        ((torch.zeros(2), torch.eye(3), torch.zeros(2), EYE), r"covariance_a must be a tensor "
         r"\(F, F\) with F=2 as mean_a, got float32 \(3, 3\)"),
        ((torch.tensor(0.0), EYE, torch.zeros(2), EYE), r"mean_a must be a tensor \(F,\)"),
        ((torch.zeros(2), EYE, torch.zeros(2), math.nan * EYE), "covariance_b must be finite"),
        ((torch.zeros(2), EYE + torch.ones(2, 2).triu(1), torch.zeros(2), EYE),
         "covariance_a must be symmetric"),
        ((torch.zeros(2), EYE, torch.zeros(2), -EYE), "covariance_b must have no eigenvalue below "
         "0, as covariances, got -1"),
    ],
)  # fmt: skip
def test_bad_moments(given: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^frechet_distance_of_gaussians: {message}"):
        frechet_distance_of_gaussians(*given)
