"""The Fréchet distance of two sets of features, each taken as a Gaussian."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from genfast.arguments import described
from genfast.metrics.checks import check_enough, checked_sets, exact

__all__ = ["frechet_distance", "frechet_distance_of_gaussians"]

# How far rounding may bring a covariance from symmetry and below zero, of its largest entry.
_ROUNDING = 1e-6


def frechet_distance(a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."]) -> float:
    """|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of the means and covariances of two sets.

    The square of the 2-Wasserstein distance of two Gaussians. It is biased upwards by about F^2 / N
    of a feature's variance: compare distances of equal N, and hold them against that of real
    examples to others. `kernel_distance` has no such bias.

    Args:
        a: Features (N, F), such as `Classifier.features` gives; examples (N, ...) are taken as rows
            of numbers.
        b: As `a`, of the same F; N may differ.

    Returns:
        The distance, at least 0; small ones are as exact as large ones.

    Raises:
        ValueError: A set has no more rows than columns, so that its covariance cannot be told;
            the shapes disagree; or a number is not finite.

    Source: Dowson and Landau 1982; Heusel et al. 2017, for features of images.

    Example:
        >>> a = torch.randn(1000, 4)
        >>> round(frechet_distance(a, a + 3), 9)
        36.0
    """
    a, b = checked_sets("frechet_distance", a=a, b=b)
    for name, x in (("a", a), ("b", b)):
        least = x.shape[1] + 1
        check_enough(f"frechet_distance: {name}", x, least, "one more than it has columns")
    return _distance(a.mean(0), _root_of_rows(a), b.mean(0), _root_of_rows(b))


def frechet_distance_of_gaussians(
    mean_a: Float[Tensor, " f"],
    covariance_a: Float[Tensor, "f f"],
    mean_b: Float[Tensor, " f"],
    covariance_b: Float[Tensor, "f f"],
) -> float:
    """`frechet_distance` of means (F,) and covariances (F, F) that are known.

    Raises:
        ValueError: The shapes disagree, a number is not finite, or a covariance is not symmetric
            and positive semi-definite.
    """
    where = "frechet_distance_of_gaussians"
    width = mean_a.shape[-1] if isinstance(mean_a, Tensor) and mean_a.ndim else 0
    means = {"mean_a": mean_a, "mean_b": mean_b}
    covariances = {"covariance_a": covariance_a, "covariance_b": covariance_b}
    given = [
        _checked(f"{where}: {name}", x, axes, (width,) * len(axes))
        for group, axes in ((means, "F"), (covariances, "FF"))
        for name, x in group.items()
    ]
    roots = [_root(f"{where}: {n}", x) for n, x in zip(covariances, given[2:], strict=True)]
    return _distance(given[0], roots[0], given[1], roots[1])


def _distance(mean_a: Tensor, root_a: Tensor, mean_b: Tensor, root_b: Tensor) -> float:
    """Of means and roots R with R^T R = S, a sum of squares alone, so that nothing cancels.

    tr(S + S' - 2 (S S')^(1/2)) is the least |R - U R'|^2 of an orthogonal U (Bhatia, Jain and Lim
    2019, theorem 1), and the singular vectors of R R'^T are those of the best one.
    """
    left, _, right = torch.linalg.svd(root_a @ root_b.T)
    means, spreads = mean_a - mean_b, root_a - left @ right @ root_b
    return float(means.square().sum() + spreads.square().sum())


def _root_of_rows(x: Float64[Tensor, "n f"]) -> Float64[Tensor, "f f"]:
    """The root of the covariance of rows, which itself is never made: it would square errors."""
    centred = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    root: Tensor = torch.linalg.qr(centred, mode="r").R
    return root


def _root(name: str, covariance: Float64[Tensor, "f f"]) -> Float64[Tensor, "f f"]:
    rounding = _ROUNDING * float(covariance.abs().max())
    if float((covariance - covariance.T).abs().max()) > rounding:
        raise ValueError(f"{name} must be symmetric, got one that is not")
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    if float(values[0]) < -rounding:
        raise ValueError(
            f"{name} must have no eigenvalue below 0, as covariances, got {float(values[0]):.3g}"
        )
    root: Tensor = values.clamp_min(0).sqrt()[:, None] * vectors.T
    return root


def _checked(name: str, x: Tensor, axes: str, shape: tuple[int, ...]) -> Tensor:
    if not isinstance(x, Tensor) or x.is_complex() or tuple(x.shape) != shape or not x.numel():
        wanted = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
        raise ValueError(
            f"{name} must be a tensor {wanted} with F={shape[0]} as mean_a, got {described(x)}"
        )
    return exact(name, x)
