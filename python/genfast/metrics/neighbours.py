"""Nearest neighbours, and the precision and recall that they tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from genfast.arguments import check_count
from genfast.metrics.checks import check_enough, checked_sets
from genfast.watching import watched

__all__ = ["PrecisionRecall", "nearest", "precision_recall"]

# Rows of a matrix of distances that are held at a time.
_CHUNK = 256


@dataclass(frozen=True)
class PrecisionRecall:
    """What `precision_recall` found.

    Attributes:
        precision: Share of the samples that lie where real examples do: how good they are.
        recall: Share of the real examples that lie where samples do: how varied those are.
    """

    precision: float
    recall: float


def precision_recall(
    samples: Float[Tensor, "n ..."], real: Float[Tensor, "m ..."], *, neighbours: int = 3
) -> PrecisionRecall:
    """How much of each set lies in the support of the other.

    The support of a set is the union of balls around its points, each as wide as the distance to
    its k-th nearest neighbour in the set.

    Args:
        samples: Features (N, F), such as `Classifier.features` gives.
        real: As `samples`, of the same F, about as many.
        neighbours: k, at least 1.

    Raises:
        ValueError: A set has no more than k rows, the shapes disagree, or a number is not finite.
        ImportError: scikit-learn is not installed.

    Source: Kynkaanniemi et al. 2019, section 3.
    """
    where, k = "precision_recall", check_count("precision_recall: neighbours", neighbours, 1)
    samples, real = checked_sets(where, samples=samples, real=real)
    for name, x in (("samples", samples), ("real", real)):
        check_enough(f"{where}: {name}", x, k + 1, f"one more than neighbours={k}")
    precision, recall = (
        float(_covered(a, b, _radii(where, b, k)).double().mean())
        for a, b in ((samples, real), (real, samples))
    )
    return PrecisionRecall(precision, recall)


def nearest(
    where: str, x: Float64[Tensor, "n f"], among: Float64[Tensor, "m f"]
) -> tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Distance of each row to the nearest of the others, exactly 0 of equal ones, and which it is.

    Args:
        where: The public function, for errors.
        x, among: Float64 rows.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    found = _searcher(where)(n_neighbors=1).fit(among.numpy())
    distances, index = (torch.from_numpy(part)[:, 0] for part in found.kneighbors(x.numpy()))
    return distances, index


def _radii(where: str, x: Float64[Tensor, "n f"], k: int) -> Float64[Tensor, " n"]:
    """Distance of each row to its k-th nearest other one."""
    found = _searcher(where)(n_neighbors=k).fit(x.numpy())
    distances, _ = found.kneighbors()
    return torch.from_numpy(distances)[:, -1]


def _covered(
    x: Float64[Tensor, "n f"], y: Float64[Tensor, "m f"], radii: Float64[Tensor, " m"]
) -> Bool[Tensor, " n"]:
    """Which rows of `x` lie in a ball around one of `y`."""
    exact = "donot_use_mm_for_euclid_dist"
    parts = watched(torch.split(x, _CHUNK), "precision and recall")
    inside = [(torch.cdist(rows, y, compute_mode=exact) <= radii).any(1) for rows in parts]
    return torch.cat(inside)


def _searcher(where: str) -> Any:
    try:
        from sklearn.neighbors import (  # type: ignore[import-untyped, unused-ignore]
            NearestNeighbors,
        )
    except ImportError:
        raise ImportError(
            f"{where}: scikit-learn must be installed, which finds nearest neighbours: "
            "pip install 'genfast[demo]'"
        ) from None
    return NearestNeighbors
