"""Normals: the distribution, the same bits of any cut, the reference beside the kernel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats

from genfast.ops import reparameterize
from genfast.random import normals


def test_ten_million_are_normal() -> None:
    """Kolmogorov and Smirnov's statistic, and moments, within five standard errors."""
    n, latent = 78_125, 128
    zeros = torch.zeros(n, latent)
    drawn = reparameterize(zeros, zeros, seed=2024)[0].flatten().double()
    count = drawn.numel()
    assert count == 10**7
    square = drawn * drawn
    for power, expected, variance in (
        (drawn, 0, 1),
        (square, 1, 2),
        (square * drawn, 0, 15),
        (square * square, 3, 96),
    ):
        assert abs(float(power.mean()) - expected) < 5 * (variance / count) ** 0.5
    share = torch.special.ndtr(drawn.sort().values)
    step = torch.arange(count, dtype=torch.float64) / count
    statistic = float(torch.maximum(share - step, step + 1 / count - share).max())
    assert statistic < 1.95 / count**0.5  # one in a thousand
    pairs = drawn.view(n, latent)
    both = pairs[:, 0::2].flatten() @ pairs[:, 1::2].flatten() / (count // 2)
    assert abs(float(both)) < 5 * (count // 2) ** -0.5


@pytest.mark.parametrize("truncation", [None, 0.01, 0.7, 3.0])
@pytest.mark.parametrize("draws", [1, 2, 17, 128])
def test_the_kernel_draws_what_the_reference_draws(draws: int, truncation: Any) -> None:
    options = {"index": 2**31, "truncation": truncation}
    found, expected = (
        normals(2**40 + 1, 300, draws, **options, backend=b) for b in ("cpu", "reference")
    )
    assert torch.allclose(found, expected, rtol=0, atol=3e-6)
    assert not found.equal(expected) or draws < 3


def test_reparameterize_draws_normals() -> None:
    zeros = torch.zeros(40, 31)
    assert torch.equal(
        reparameterize(zeros, zeros, seed=4, index=9)[0], normals(4, 40, 31, index=9)
    )


def test_any_cut_gives_the_same_bits() -> None:
    whole = normals(7, 17, 33, index=100, truncation=torch.linspace(0.1, 3, 17))
    shard = normals(7, 4, 33, index=109, truncation=torch.linspace(0.1, 3, 17)[9:13])
    assert whole[9:13].equal(shard)
    rows = normals(torch.full((4,), 7), 4, 20, index=109 + torch.arange(4))
    assert rows.equal(normals(7, 17, 33, index=100)[9:13, :20])


@pytest.mark.parametrize("truncation", [0.5, 1.0, 2.0])
def test_truncated_pairs_are_normal_inside_their_circle(truncation: float) -> None:
    """The square of the radius is exponential, cut off: its share has a uniform distribution."""
    pairs = normals(1, 100_000, 2, truncation=truncation).double()
    square = pairs.square().sum(-1)
    assert square.max() <= truncation**2 * (1 + 1e-6)
    share = torch.expm1(-square / 2) / torch.expm1(torch.tensor(-(truncation**2) / 2))
    assert stats.kstest(share.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize(("n", "draws"), [(0, 3), (3, 0), (0, 0)])
def test_empty(backend: str, n: int, draws: int) -> None:
    assert normals(1, n, draws, backend=backend).shape == (n, draws)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed must be at least 0"),
        ({"n": -1}, "n must be at least 0"),
        ({"draws": 1.5}, "draws must be an integer, got 1.5"),
        ({"index": 2**32}, "index must be at least 0"),
        ({"truncation": 0}, "truncation must be above 0"),
        ({"truncation": torch.ones(3)}, "truncation must be above 0, a number or .N,. with N=2"),
        ({"backend": "cuda"}, "backend must be auto, cpu or reference, got 'cuda'"),
        ({"backend": "cpu", "device": "meta"}, "backend 'cpu' fills cpu tensors, got device meta"),
    ],
)
def test_refusals_name_the_argument(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^normals: {message}"):
        normals(**({"seed": 0, "n": 2, "draws": 3} | change))
