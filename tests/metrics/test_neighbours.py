"""Precision falls with bad samples, recall with samples of one kind."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

from genfast.metrics import precision_recall

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(n: int, seed: int, f: int = 4) -> Tensor:
    return torch.randn(n, f, generator=torch.Generator().manual_seed(seed))


REAL, SAMPLES = normal(600, 1), normal(600, 2)


def two_kinds(seed: int) -> Tensor:
    x = normal(600, seed)
    x[300:, 0] += 50
    return x


def test_it_is_the_definition() -> None:
    """Ball by ball, of a few points."""
    samples, real = normal(23, 1, 2).double(), normal(31, 2, 2).double()
    found = precision_recall(samples, real, neighbours=2)

    def covered(x: Tensor, y: Tensor) -> float:
        within = torch.cdist(y, y).sort(1).values[:, 2]  # the first is the point itself
        inside = [any((a - b).norm() <= r for b, r in zip(y, within, strict=True)) for a in x]
        return sum(inside) / len(inside)

    assert found.precision == covered(samples, real)
    assert found.recall == covered(real, samples)
    assert found.precision != found.recall


def test_equal_sets_cover_each_other() -> None:
    found = precision_recall(REAL, REAL)
    assert (found.precision, found.recall) == (1, 1)


def test_equal_distributions_mostly_do() -> None:
    found = precision_recall(SAMPLES, REAL)
    assert found.precision > 0.8
    assert found.recall > 0.8


def test_a_lost_kind_costs_recall_alone() -> None:
    lost = precision_recall(two_kinds(3)[:300], two_kinds(4))
    assert lost.precision > 0.8
    assert 0.4 < lost.recall < 0.52


def test_strays_cost_precision_alone() -> None:
    strays = torch.cat([REAL + 0.01, normal(600, 5) + 100])
    found = precision_recall(strays, REAL)
    assert found.precision == pytest.approx(0.5, abs=0.01)
    assert found.recall > 0.99


@pytest.mark.parametrize(
    ("sizes", "k", "message"),
    [
        ((3, 9), 3, "samples must have at least 4 rows, one more than neighbours=3, got 3"),
        ((9, 5), 5, "real must have at least 6 rows, one more than neighbours=5, got 5"),
        ((9, 9), 0, "neighbours must be at least 1, got 0"),
    ],
)
def test_bad_input(sizes: tuple[int, int], k: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^precision_recall: {message}"):
        precision_recall(normal(sizes[0], 1), normal(sizes[1], 2), neighbours=k)


def test_scikit_learn_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.neighbors", None)
    with pytest.raises(ImportError, match=r"precision_recall: scikit-learn must .*genfast\[demo\]"):
        precision_recall(SAMPLES, REAL)
