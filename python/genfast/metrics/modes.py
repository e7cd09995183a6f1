"""Which of the modes of a distribution samples reach, where the modes are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from genfast.metrics.checks import check_enough, checked_sets

__all__ = ["ModeCoverage", "mode_coverage"]


@dataclass(frozen=True)
class ModeCoverage:
    """What `mode_coverage` found.

    Attributes:
        covered: Modes that have a fair number of samples.
        modes: All modes, K.
        counts: int64 (K,), the samples near each.
        high_quality: Share of the samples that are near a mode.
        divergence: Kullback-Leibler divergence of these from the uniform distribution over modes,
            in nats: 0 where all are alike, log K where there is but one; NaN where there is none.
    """

    covered: int
    modes: int
    counts: Int64[Tensor, " modes"]
    high_quality: float
    divergence: float


def mode_coverage(
    samples: Float[Tensor, "n ..."],
    centres: Float[Tensor, "k ..."],
    within: float,
    *,
    fair: float = 0.1,
) -> ModeCoverage:
    """Counts the samples near each mode.

    A sample is near the mode whose centre is nearest, if that lies `within` this distance. A mode
    is covered if it has at least `fair` times N / K of the N samples: ten samples of 800 for one of
    8 modes.

    Args:
        samples: (N, ...) such as (N, 2).
        centres: (K, ...), the modes.
        within: Distance, such as three or four standard deviations of a mode; above 0.
        fair: The share of an even share that counts, 0 < fair <= 1.

    Raises:
        ValueError: There are fewer than K / fair samples, so that one would cover a mode; the
            shapes disagree; or a number is not finite or out of range.

    Source: Metz et al. 2017, section 3.1; Srivastava et al. 2017, section 5, whose modes count from
    the first sample on, and who call samples within three standard deviations of high quality.
    """
    samples, centres = checked_sets("mode_coverage", samples=samples, centres=centres)
    if not 0 < within < math.inf:
        raise ValueError(f"mode_coverage: within must be a distance above 0, got {within!r}")
    if not 0 < fair <= 1:
        raise ValueError(f"mode_coverage: fair must be above 0 and at most 1, got {fair!r}")
    check_enough("mode_coverage: centres", centres, 1, "the modes")
    modes = len(centres)
    least = math.ceil(modes / fair)
    check_enough("mode_coverage: samples", samples, least, f"1 / {fair:g} for each mode")
    exact = "donot_use_mm_for_euclid_dist"  # which the fast way is not, close to a centre
    distance, nearest = torch.cdist(samples, centres, compute_mode=exact).min(1)
    counts = nearest[distance <= within].bincount(minlength=modes)
    return ModeCoverage(
        covered=int((counts >= fair * len(samples) / modes).sum()),
        modes=modes,
        counts=counts,
        high_quality=int(counts.sum()) / len(samples),
        divergence=_from_uniform(counts),
    )


def _from_uniform(counts: Int64[Tensor, " modes"]) -> float:
    share = counts.double() / counts.sum()
    return float(torch.special.xlogy(share, share * len(counts)).sum())
