"""The kernel distance of two sets of features: no Gaussian is assumed, and there is no bias."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from genfast.arguments import check_count
from genfast.metrics.checks import check_enough, checked_sets
from genfast.random import fold
from genfast.watching import watched

__all__ = ["KernelDistance", "kernel_distance"]

# Rows of a kernel matrix that are held at a time.
_CHUNK = 1024


@dataclass(frozen=True)
class KernelDistance:
    """What `kernel_distance` found.

    Attributes:
        value: The estimate; around 0 for equal distributions, and then as often below.
        standard_error: How far such an estimate lies off, on average.
    """

    value: float
    standard_error: float


def kernel_distance(
    a: Float[Tensor, "n ..."], b: Float[Tensor, "m ..."], *, subsets: int = 10, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy under the kernel (x y / F + 1)^3, without bias.

    Both sets are shuffled and cut into disjoint subsets; the value is the mean of the estimates of
    each pair of these, which are independent, so that their spread gives an honest error::

        1/(n(n-1)) sum_{i != j} k(a_i, a_j) + 1/(m(m-1)) sum_{i != j} k(b_i, b_j)
            - 2/(nm) sum_{i, j} k(a_i, b_j)

    Args:
        a: Features (N, F), such as `Classifier.features` gives; examples (N, ...) are taken as rows
            of numbers.
        b: As `a`, of the same F; N may differ.
        subsets: Number of them, at least 2.
        seed: Of the shuffles.

    Raises:
        ValueError: A set has fewer than two rows for each subset, the shapes disagree, or a number
            is not finite.

    Source: Binkowski et al. 2018, section 4; the disjoint subsets are the blocks of Zaremba,
    Gretton and Blaschko 2013.

    Example:
        >>> found = kernel_distance(torch.randn(100, 4), torch.randn(100, 4) + 3)
        >>> found.value > 5 * found.standard_error
        True
    """
    subsets = check_count("kernel_distance: subsets", subsets, 2)
    a, b = checked_sets("kernel_distance", a=a, b=b)
    for name, x in (("a", a), ("b", b)):
        why = f"two for each of {subsets} subsets"
        check_enough(f"kernel_distance: {name}", x, 2 * subsets, why)
    generator = torch.Generator().manual_seed(fold(seed, "split"))
    cuts = [x[torch.randperm(len(x), generator=generator)].tensor_split(subsets) for x in (a, b)]
    pairs = list(zip(*cuts, strict=True))
    found = [_unbiased(x, y) for x, y in watched(pairs, "kernel distance")]
    return KernelDistance(statistics.fmean(found), statistics.stdev(found) / math.sqrt(subsets))


def _unbiased(x: Float64[Tensor, "n f"], y: Float64[Tensor, "m f"]) -> float:
    n, m = len(x), len(y)
    across = _kernel_sum(x, y) / (n * m)
    return _others(x) / (n * (n - 1)) + _others(y) / (m * (m - 1)) - 2 * across


def _others(x: Float64[Tensor, "n f"]) -> float:
    """Sum over all pairs of different rows."""
    itself = (x.square().mean(1) + 1) ** 3
    return _kernel_sum(x, x) - float(itself.sum())


def _kernel_sum(x: Float64[Tensor, "n f"], y: Float64[Tensor, "m f"]) -> float:
    chunks = torch.split(x, _CHUNK)
    return math.fsum(float(((rows @ y.T) / x.shape[1] + 1).pow(3).sum()) for rows in chunks)
