"""Are samples new, or training examples that were learnt by heart?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from genfast.metrics.checks import check_enough, checked_sets
from genfast.metrics.neighbours import nearest

__all__ = ["Memorisation", "memorisation"]


@dataclass(frozen=True)
class Memorisation:
    """What `memorisation` found.

    Attributes:
        distances: float64 (N,), of each sample to the nearest training example.
        nearest: int64 (N,), which one that is.
        held_out_distances: float64 (M,), of each held-out example to the nearest training example.
        threshold: The distance at or below which a sample counts as a copy.
        copies: Share of the samples that are copies.
        held_out_copies: The same share of the held-out examples, which nobody copied.
        rank: How often a sample lies further from the training examples than a held-out example
            does, ties counting half: 0.5 where they lie alike, towards 0 where samples are copies,
            towards 1 where they are unlike the data.
        score: `rank` as a standard normal number under the hypothesis that they lie alike: below -3
            speaks of copying, above 3 of bad samples.
    """

    distances: Float64[Tensor, " n"]
    nearest: Int64[Tensor, " n"]
    held_out_distances: Float64[Tensor, " m"]
    threshold: float
    copies: float
    held_out_copies: float
    rank: float
    score: float


def memorisation(
    samples: Shaped[Tensor, "n ..."],
    train: Shaped[Tensor, "t ..."],
    held_out: Shaped[Tensor, "m ..."],
    *,
    quantile: float = 0.01,
) -> Memorisation:
    """Holds the distances of samples to the training set against those of held-out examples to it.

    Args:
        samples: (N, ...), features or the examples themselves; numbers of any real dtype.
        train: (T, ...), what the model was trained on.
        held_out: (M, ...), of the same distribution, which the model has not seen.
        quantile: A sample is a copy if it lies no further from the training set than this share of
            the held-out examples does, 0 < quantile < 1.

    Raises:
        ValueError: There are too few held-out examples to tell the quantile, or too few of another
            set; the shapes disagree; or a number is not finite.
        ImportError: scikit-learn is not installed.

    Source: Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying in
    generative models": `score` is their C_T with one cell.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"memorisation: quantile must be above 0 and below 1, got {quantile!r}")
    samples, train, held_out = checked_sets(
        "memorisation", samples=samples, train=train, held_out=held_out
    )
    check_enough("memorisation: samples", samples, 2, "for a rank")
    check_enough("memorisation: train", train, 1, "to be copied")
    least = math.ceil(1 / quantile)
    check_enough("memorisation: held_out", held_out, least, f"one of them within {quantile:g}")
    distances, indices = nearest("memorisation", samples, train)
    known, _ = nearest("memorisation", held_out, train)
    threshold = float(known.quantile(quantile, interpolation="lower"))
    rank, score = _ranked(distances, known)
    return Memorisation(
        distances,
        indices,
        known,
        threshold,
        copies=float((distances <= threshold).double().mean()),
        held_out_copies=float((known <= threshold).double().mean()),
        rank=rank,
        score=score,
    )


def _ranked(a: Float64[Tensor, " n"], b: Float64[Tensor, " m"]) -> tuple[float, float]:
    """Share of pairs with a > b, and the statistic of Mann and Whitney made standard normal."""
    ordered, n, m = b.sort().values, len(a), len(b)
    below, upto = (torch.searchsorted(ordered, a, right=right).double() for right in (False, True))
    rank = float((below + upto).sum()) / (2 * n * m)
    groups = torch.unique(torch.cat([a, b]), return_counts=True)[1].double()
    ties = float((groups**3 - groups).sum()) / ((n + m) * (n + m - 1))
    deviation = math.sqrt(max(0.0, n + m + 1 - ties) / (12 * n * m))
    return rank, (rank - 0.5) / deviation if deviation else 0.0
