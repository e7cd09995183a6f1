"""Both sides equal first: every draw of a contender, held against a float64 oracle of its prefix.

A draw passes when its uniform lies in the drawn class's interval of the float64 distribution given
the very symbols drawn before, widened by `1e-6 + 8 x` the largest gap between the float32 and the
float64 distribution of that site: the oracle's own conditioning, which a wrong contender cannot
widen. So one draw at an edge does not condemn the sites behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.task import Array, Symbols, Task, Weights, forced_scores

#: Sites conditioned worse than this say nothing; at most `MAX_SKIPPED` of all may be.
MAX_EPS = 1e-3
MAX_SKIPPED = 1e-3


@dataclass(frozen=True)
class Agreement:
    """How many draws were checked, lay outside their interval, or were too badly conditioned."""

    draws: int
    outside: int
    skipped: int

    @property
    def holds(self) -> bool:
        return self.outside == 0 and self.skipped <= MAX_SKIPPED * self.draws


def distribution(scores: Array) -> NDArray[np.float64]:
    """Running sums of the softmax, with a leading 0: (batch, classes + 1)."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    sums = np.cumsum(weights, axis=1, dtype=np.float64)
    return np.pad(sums / sums[:, -1:], ((0, 0), (1, 0)))


def replay(
    task: Task,
    weights: Weights,
    uniforms: Array,
    symbols: Symbols,
    rounded: Callable[[Array], Array] | None = None,
) -> Agreement:
    """Checks every draw of `symbols` (batch, sites) for these uniforms (batch, sites).

    With `rounded`, to the dtype of a contender narrower than float32, the oracle's conditioning is
    that of its results rounded so, and no site is told apart as badly conditioned.
    """
    if symbols.shape != uniforms.shape or symbols.min() < 0 or symbols.max() >= task.classes:
        raise ValueError(
            f"replay: symbols must be {uniforms.shape} in [0, {task.classes}), "
            f"got {symbols.shape} in [{symbols.min()}, {symbols.max()}]"
        )
    rows, outside, skipped = np.arange(len(symbols)), 0, 0
    exact = forced_scores(task, weights, symbols, np.float64)
    rough = forced_scores(task, weights, symbols, np.float32, *([rounded] if rounded else []))
    worst = MAX_EPS if rounded is None else 1.0
    for site, pair in enumerate(zip(exact, rough, strict=True)):
        sums, rounded = (distribution(scores) for scores in pair)
        eps = 1e-6 + 8 * np.abs(sums - rounded).max(axis=1)
        u, drawn, told = uniforms[:, site], symbols[:, site], eps <= worst
        inside = (u >= sums[rows, drawn] - eps) & (u < sums[rows, drawn + 1] + eps)
        outside += int((~inside & told).sum())
        skipped += int((~told).sum())
    return Agreement(symbols.size, outside, skipped)


class Checker:
    """Replays each distinct result once: contenders mostly draw the very same symbols."""

    def __init__(
        self,
        task: Task,
        weights: Weights,
        uniforms: Array,
        rounded: Callable[[Array], Array] | None = None,
    ) -> None:
        self.task, self.weights, self.uniforms = task, weights, uniforms
        self._rounded = rounded
        self._seen: dict[bytes, Agreement] = {}
        self._first: Symbols | None = None

    def check(self, symbols: Symbols) -> dict[str, int]:
        """Draws checked, and samples that differ from the first contender's.

        Raises:
            AssertionError: A draw lies outside its interval.
        """
        symbols = np.ascontiguousarray(symbols, np.int64)
        key = symbols.tobytes()
        if key not in self._seen:
            self._seen[key] = replay(self.task, self.weights, self.uniforms, symbols, self._rounded)
        agreement = self._seen[key]
        if not agreement.holds:
            raise AssertionError(f"{self.task.name}: {agreement}")
        self._first = symbols if self._first is None else self._first
        differing = int((symbols != self._first).any(axis=1).sum())
        return {"draws": agreement.draws, "skipped": agreement.skipped, "differing": differing}
