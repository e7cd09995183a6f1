"""The categorical draw in NumPy, to the letter of the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


def categorical(
    scores: Scores, uniform: float, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> int:
    """One class from scores, by inverting the cumulative distribution at `uniform`.

    Computes in the dtype of `scores`; running sums are sequential.

    Args:
        scores: float32 or float64 (classes,), unnormalised log-probabilities; -inf excludes.
        uniform: in [0, 1).
        temperature: divides the scores; 0 takes the highest, lower class first.
        top_k: keeps the k highest scores; 0 keeps all.
        top_p: of these, keeps the shortest prefix whose mass before a class is below top_p of
            theirs, at least one; 1 keeps all.

    Raises:
        FloatingPointError: scores hold NaN or +inf, or exclude every class.
    """
    number = scores.dtype.type
    scaled = scores / number(temperature) if temperature > 0 else scores
    if np.isnan(scaled).any() or np.isposinf(scaled).any():
        raise FloatingPointError("scores hold NaN or +inf")
    if np.isneginf(scaled).all():
        raise FloatingPointError("scores exclude every class")
    if temperature == 0:
        return int(scaled.argmax())
    weights = np.exp(scaled - scaled.max())
    kept = np.sort(_keep(scaled, weights, top_k, number(top_p)))
    running = np.cumsum(weights[kept], dtype=scores.dtype)
    above = np.flatnonzero(running > number(uniform) * running[-1])
    return int(kept[above[0]] if above.size else kept[weights[kept] > 0][-1])


def _keep(scaled: Scores, weights: Scores, top_k: int, top_p: Any) -> NDArray[np.intp]:
    """Classes that may be drawn, in stable descending order of score."""
    order = np.argsort(-scaled, kind="stable")
    order = order[: np.count_nonzero(~np.isneginf(scaled))]
    if top_k > 0:
        order = order[:top_k]
    if top_p < 1:
        mass = np.cumsum(weights[order], dtype=weights.dtype)
        before = np.concatenate([mass[:1] * 0, mass[:-1]])
        order = order[: max(1, np.count_nonzero(before < top_p * mass[-1]))]
    return order
