"""The categorical draw keeps the contract at its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genfast.program.categorical import categorical

INF = np.inf
LAST = 1 - 2.0**-24


def draw(scores: Any, uniform: float, **options: Any) -> int:
    return categorical(np.asarray(scores, np.float32), uniform, **options)


@pytest.mark.parametrize(
    ("scores", "uniform", "options", "expected"),
    [
        ([0, 0], 0.0, {}, 0),
        ([0, 0], np.nextafter(np.float32(0.5), np.float32(0)), {}, 0),
        ([0, 0], 0.5, {}, 1),
        ([-INF, 0, -INF], 0.0, {}, 1),
        ([-INF, 0, -INF], LAST, {}, 1),
        ([-200, 0, -200], 0.0, {}, 1),
        ([-200, 0, -200], LAST, {}, 1),
        ([1, 3, 3, 2], LAST, {"temperature": 0}, 1),
        ([1, -INF, 3, 2], 0.0, {"temperature": 0, "top_k": 1}, 2),
        ([1, 3, 3, 2], LAST, {"temperature": 1e-6}, 2),
        ([3, 1, 3, 3], LAST, {"top_k": 2}, 2),
        ([0, 1, 0, 0], LAST, {"top_k": 2}, 1),
        ([0, 1, 0, 0], 0.0, {"top_k": 2}, 0),
        ([0, -INF, -INF], LAST, {"top_k": 3}, 0),
        ([0, 1, 2], LAST, {"top_k": 99}, 2),
        ([0, 1, 2, 9], LAST, {"top_p": 1e-9}, 3),
        ([0, 1, 2, 9], 0.0, {"top_p": 1e-9}, 3),
        ([0, 1, 2, 9], 0.0, {"top_p": 0.0}, 3),
        ([0, 0, 0, 0], LAST, {"top_p": 0.5}, 1),
        ([0, 0, 0, 0], LAST, {"top_p": 0.50001}, 2),
        ([0, 0, 0, 0], LAST, {"top_k": 2, "top_p": 0.5}, 0),
        ([0, 1] * 500, LAST, {"top_k": 250}, 499),
    ],
)
def test_edges(scores: Any, uniform: float, options: Any, expected: int) -> None:
    assert draw(scores, uniform, **options) == expected


@pytest.mark.parametrize("bad", [np.nan, INF])
@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_nan_and_infinity(bad: float, temperature: float) -> None:
    with pytest.raises(FloatingPointError, match=r"NaN or \+inf"):
        draw([0, bad, 1], 0.5, temperature=temperature)


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_nothing_left(temperature: float) -> None:
    with pytest.raises(FloatingPointError, match="exclude every class"):
        draw([-INF, -INF], 0.5, temperature=temperature)


def kept(scores: Any, top_k: int, top_p: float) -> list[int]:
    """Classes in descending order of score, while fewer than k and the mass before is below p."""
    order = sorted(range(len(scores)), key=lambda c: (-scores[c], c))[: top_k or None]
    mass = [float(np.exp(np.float64(scores[c]) - max(scores))) for c in order]
    return [c for i, c in enumerate(order) if i == 0 or sum(mass[:i]) < top_p * sum(mass)]


@pytest.mark.parametrize("classes", [1, 2, 17, 129])
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.6), (5, 0.6)])
def test_frequencies(classes: int, top_k: int, top_p: float) -> None:
    """Uniforms on a lattice: each class is drawn as often as its share of the lattice."""
    scores = np.random.default_rng(classes).normal(0, 2, classes).astype(np.float32)
    keep = kept(scores / np.float32(0.5), top_k, top_p)
    weights = np.zeros(classes)
    weights[keep] = np.exp(scores[keep].astype(np.float64) / 0.5)
    number = 2000
    drawn = [
        draw(scores, (i + 0.5) / number, temperature=0.5, top_k=top_k, top_p=top_p)
        for i in range(number)
    ]
    counts = np.bincount(drawn, minlength=classes)
    np.testing.assert_allclose(counts, number * weights / weights.sum(), atol=1.001)
