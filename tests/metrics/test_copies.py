"""Copies of training examples are found, and new samples of the same distribution are not."""

from __future__ import annotations

import math
import sys

import pytest
import scipy.stats
import torch
from torch import Tensor

from genfast.metrics import memorisation

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(n: int, seed: int, f: int = 10) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


TRAIN, HELD_OUT, FRESH = normal(500, 1), normal(400, 2), normal(300, 3)


def test_new_samples_are_as_far_as_held_out_ones() -> None:
    found = memorisation(FRESH, TRAIN, HELD_OUT)
    assert abs(found.score) < 3
    assert found.rank == pytest.approx(0.5, abs=0.06)
    assert found.copies < 0.03
    assert found.held_out_copies == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("copied", [30, 150, 300])
def test_copies_are_counted_and_named(copied: int) -> None:
    rows = torch.randint(500, (copied,), generator=torch.Generator().manual_seed(0))
    samples = torch.cat([TRAIN[rows], FRESH[copied:]])
    found = memorisation(samples, TRAIN, HELD_OUT)
    assert found.nearest[:copied].equal(rows)
    assert not found.distances[:copied].any()
    assert copied / 300 <= found.copies < copied / 300 + 0.03
    assert found.score < -3 if copied > 30 else found.score < 0


def test_near_copies_are_copies() -> None:
    found = memorisation(TRAIN[:300] + 0.01 * FRESH, TRAIN, HELD_OUT)
    assert found.copies == 1
    assert found.rank == 0
    assert found.score < -20


def test_copies_are_at_distance_0_wherever_the_data_lie() -> None:
    """A root of a difference of squares would be 1e-3."""
    train, held = normal(200, 1, 64) + 1e4, normal(100, 2, 64) + 1e4
    found = memorisation(train[50:90], train, held)
    assert found.nearest.equal(torch.arange(50, 90))
    assert not found.distances.any()
    assert found.held_out_distances.min() > 1


def test_samples_unlike_the_data_are_far() -> None:
    found = memorisation(3 * FRESH, TRAIN, HELD_OUT)
    assert found.rank > 0.95
    assert found.score > 20
    assert found.copies == 0


def test_the_score_is_mann_and_whitney_s_statistic() -> None:
    """Small integers: most distances tie."""
    samples, train, held = ((2 * x[:, :3]).round().long() for x in (FRESH, TRAIN, HELD_OUT))
    found = memorisation(samples, train, held)
    expected = scipy.stats.mannwhitneyu(
        found.distances, found.held_out_distances, use_continuity=False, method="asymptotic"
    )
    n, m = len(samples), len(held)
    assert found.rank == pytest.approx(expected.statistic / (n * m), rel=1e-12)
    assert 2 * scipy.stats.norm.sf(abs(found.score)) == pytest.approx(expected.pvalue, rel=1e-9)


def test_distances_are_those_to_the_nearest() -> None:
    found = memorisation(FRESH, TRAIN, HELD_OUT)
    expected = torch.cdist(FRESH.double(), TRAIN.double()).min(1)
    torch.testing.assert_close(found.distances, expected.values, rtol=1e-9, atol=0)
    assert found.nearest.equal(expected.indices)


def test_images_are_taken_as_they_are() -> None:
    images = [(x * 4).round().long().reshape(-1, 1, 2, 5) for x in (FRESH, TRAIN, HELD_OUT)]
    rows = [x.flatten(1).double() for x in images]
    found, expected = memorisation(*images), memorisation(*rows)
    assert found.distances.equal(expected.distances)
    assert (found.copies, found.score) == (expected.copies, expected.score)


def test_equal_sets_have_no_score() -> None:
    same = torch.zeros(100, 2)
    found = memorisation(same, same, same)
    assert (found.rank, found.score, found.copies, found.held_out_copies) == (0.5, 0, 1, 1)


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ((9, 9, 99), {}, "held_out must have at least 100 rows, one of them within 0.01, got 99"),
        ((9, 9, 9), {"quantile": 0.1}, "held_out must have at least 10 rows"),
        ((1, 9, 100), {}, "samples must have at least 2 rows, for a rank, got 1"),
        ((9, 0, 100), {}, "train must have at least 1 rows, to be copied, got 0"),
        ((9, 9, 100), {"quantile": 0.0}, "quantile must be above 0 and below 1, got 0.0"),
        ((9, 9, 100), {"quantile": math.nan}, "quantile must be above 0 and below 1, got nan"),
    ],
)
def test_bad_input(sizes: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^memorisation: {message}"):
        memorisation(*(torch.zeros(n, 2) for n in sizes), **options)


def test_bad_sets() -> None:
    with pytest.raises(ValueError, match=r"train must be .* rows of \(10,\) as samples has"):
        memorisation(FRESH, TRAIN[:, :3], HELD_OUT)
    with pytest.raises(ValueError, match=r"held_out must be finite .* got nan at \[0, 0\]"):
        memorisation(FRESH, TRAIN, HELD_OUT * math.nan)


def test_scikit_learn_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.neighbors", None)
    with pytest.raises(ImportError, match=r"memorisation: scikit-learn must .*genfast\[demo\]"):
        memorisation(FRESH, TRAIN, HELD_OUT)
