"""What replay checks of every site: its scores, and that its uniform asks for what was drawn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import torch
from torch import Tensor

from genfast import heads
from genfast.reference import evaluating

__all__ = ["TOLERANCE", "ReplayReport", "Sites", "check_draws", "check_scores"]

#: Largest error of a score as a share of the scores' scale, by the precision of a backend.
TOLERANCE = {"float32": 2e-5}

# The narrowest widening of an interval, and how many times the reference's own float32 error.
_LEAST_EPS, _GAPS = 1e-6, 8.0
# A site of wider eps says nothing and is skipped; at most this share may be.
_MOST_EPS, _MOST_SKIPPED = 1e-3, 1e-3
# Kept sets tried for one site whose scores are equal to within eps.
_MOST_SETS = 1000


@dataclass(frozen=True)
class ReplayReport:
    """What `replay` found in order.

    Args:
        backend: What drew, such as "cpu".
        sites: Drawn sites that were asked.
        skipped: Sites of those where float32 itself cannot tell.
        score_error: Largest error of a score, a share of the scores' scale; None when not compared.
        equal_samples: Share of whole samples equal to the reference's; None when not compared.
    """

    backend: str
    sites: int
    skipped: int
    score_error: float | None
    equal_samples: float | None


#: Row and site -> how errors call the place.
Named = Callable[[int, int], str]


def named_site(row: int, site: int) -> str:
    """How errors call a site."""
    return f"row {row}, site {site}"


@dataclass(frozen=True)
class Sites:
    """Drawn sites in a flat list, and what is known of each.

    Args:
        exact: float64 (M, classes), reference scores.
        close: float32 (M, classes), the same scores in the arithmetic of a backend.
        values: int64 (M,), what was drawn.
        uniforms: float32 (M,), the random numbers.
        options: Options of each site.
        places: int64 (M, 2), row and site, for errors.
        named: What errors call a place.
    """

    exact: Tensor
    close: Tensor
    values: Tensor
    uniforms: Tensor
    options: heads.DrawOptions
    places: Tensor
    named: Named = named_site


def reference_scores(model: Any, dtype: torch.dtype, *inputs: Tensor, **named: Tensor) -> Tensor:
    """Scores by `forward` of a copy of the model in `dtype` on the CPU, all sites at once."""
    twin = copy.deepcopy(model).to("cpu", dtype)
    with evaluating(twin):
        scores: Tensor = twin(*inputs, **named)
    return scores.detach()


def check_scores(got: Tensor, exact: Tensor, counts: Tensor, named: Named = named_site) -> float:
    """The direct part: scores within `TOLERANCE` of the reference's.

    Args:
        got: float32 (N, T, classes).
        exact: float64 (N, T, classes).
        counts: bool (N, T), the sites to look at.
        named: What errors call row and site.

    Returns:
        The largest error, a share of the largest finite score.

    Raises:
        AssertionError: Naming row, site, class and both scores.
    """
    counts = counts[..., None].expand_as(exact)
    finite = exact.isfinite() & counts
    scale = float(exact[finite].abs().max()) if finite.any() else 1.0
    error = torch.where(got == exact, 0.0, (got.double() - exact).abs() / scale)
    error = error.nan_to_num(nan=torch.inf, posinf=torch.inf).where(counts, 0.0)
    largest = float(error.max()) if error.numel() else 0.0
    if largest > TOLERANCE["float32"]:
        row, site, symbol = (int(i) for i in (error == largest).nonzero()[0])
        place = (row, site, symbol)
        raise AssertionError(
            f"replay: {named(row, site)}: score of class {symbol} is {float(got[place])!r}, "
            f"the reference's {float(exact[place])!r}: off by {largest:.2e} of the scale "
            f"{scale:.3g}, allowed {TOLERANCE['float32']:.0e}"
        )
    return largest


def check_draws(sites: Sites) -> int:
    """The part on draws: every uniform lies in the interval of the class that was drawn.

    An interval is widened by `eps = 1e-6 + 8 x (largest gap between the float32 and the float64
    CDF of the site)`, which the reference alone decides.

    Returns:
        Sites skipped because eps exceeds 1e-3.

    Raises:
        AssertionError: Naming row, site and numbers, or for more than 0.1% skipped.
    """
    options, rows = sites.options, torch.arange(len(sites.values))
    exact = heads.tempered(sites.exact, options.temperature)
    close = heads.tempered(sites.close, options.temperature)
    weights = torch.exp(exact - exact.amax(-1, keepdim=True))
    kept = heads.keep(exact, weights, options.top_k, options.top_p)
    low, high, eps = _interval(exact, close, kept, sites.values)
    right = _inside(sites.uniforms, low, high, eps) & kept[rows, sites.values]
    best = exact[rows, sites.values] >= exact.amax(-1) - eps
    right = torch.where(options.temperature == 0, best, right) & (weights[rows, sites.values] > 0)
    skipped = eps > _MOST_EPS
    for at in (~right & ~skipped).nonzero()[:, 0].tolist():
        if not _other_set_passes(sites, at, exact[at], close[at], float(eps[at])):
            _fail(sites, at, float(low[at]), float(high[at]), float(eps[at]))
    return _count_skipped(skipped)


def check_judged(head: Any, sites: Sites) -> int:
    """`check_draws` for a head that judges by itself; values (M, V) and uniforms (M, d).

    Args:
        head: With `judge`, see `genfast.testing.images.PixelHead`.
        sites: Draws in a flat list.
    """
    right, eps = head.judge(sites.exact, sites.close, sites.values, sites.uniforms, sites.options)
    skipped = eps > _MOST_EPS
    for at in (~right & ~skipped).nonzero()[:1, 0].tolist():
        row, site = sites.places[at].tolist()
        raise AssertionError(
            f"replay: {sites.named(row, site)}: drew {sites.values[at].tolist()} with uniforms "
            f"{sites.uniforms[at].tolist()}, which ask for something else; eps {float(eps[at]):.2e}"
        )
    return _count_skipped(skipped)


def _count_skipped(skipped: Tensor) -> int:
    if skipped.sum() > _MOST_SKIPPED * len(skipped):
        raise AssertionError(
            f"replay: {int(skipped.sum())} of {len(skipped)} sites have eps > 1e-3"
        )
    return int(skipped.sum())


def _interval(
    exact: Tensor, close: Tensor, kept: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Ends of the interval of `values` in the CDF of the kept classes, and eps; each (M,)."""
    cdf = _cdf(exact, kept)
    gap = (cdf - _cdf(close, kept).double()).abs().amax(-1)
    high = cdf.gather(-1, values[:, None])[:, 0]
    below = cdf.gather(-1, (values[:, None] - 1).clamp(min=0))[:, 0]
    return below.where(values > 0, 0.0), high, _LEAST_EPS + _GAPS * gap


def _cdf(scores: Tensor, kept: Tensor) -> Tensor:
    """Running sums of the kept weights over their total, in the arithmetic of `scores`."""
    running = heads.running_sum(torch.exp(scores - scores.amax(-1, keepdim=True)) * kept)
    return running / running[:, -1:]


def _inside(uniforms: Tensor, low: Tensor, high: Tensor, eps: Tensor) -> Tensor:
    return (uniforms >= low - eps) & (uniforms <= high + eps)


def _other_set_passes(sites: Sites, at: int, exact: Tensor, close: Tensor, eps: float) -> bool:
    """Whether the draw is right for another kept set, one whose edge lies within eps."""
    temperature, top_k, top_p = (float(option[at]) for option in sites.options)
    value = sites.values[at]
    if temperature == 0:
        return False
    for kept in islice(_kept_sets(exact, int(top_k), top_p, eps), _MOST_SETS):
        ends = _interval(exact[None], close[None], kept[None], value[None])
        if kept[value] and bool(_inside(sites.uniforms[at], *ends)):
            return True
    return False


def _kept_sets(exact: Tensor, top_k: int, top_p: float, eps: float) -> Iterator[Tensor]:
    """Every set, bool (classes,), that top-k and top-p may keep when edges move by eps."""
    possible = exact > -torch.inf
    for survivors in _best(exact, possible, top_k or len(exact), eps):
        if top_p >= 1:
            yield survivors
            continue
        order = exact.where(survivors, -torch.inf).argsort(dim=0, descending=True, stable=True)
        weights = torch.exp(exact[order] - exact[order[0]]) * survivors[order]
        mass = weights.cumsum(0) / weights.sum()
        for size in range(1, int(survivors.sum()) + 1):
            begins = 0.0 if size == 1 else float(mass[size - 2])
            last = size == int(survivors.sum())
            if (size == 1 or begins < top_p + eps) and (last or mass[size - 1] >= top_p - eps):
                yield from _best(exact, survivors, size, eps)


def _best(exact: Tensor, among: Tensor, size: int, eps: float) -> Iterator[Tensor]:
    """Sets of the `size` best classes of `among`; those within eps of the last may trade places."""
    if size >= int(among.sum()):
        yield among
        return
    edge = exact[among].topk(size).values[-1]
    certain = among & (exact > edge + eps)
    tied = (among & ((exact - edge).abs() <= eps)).nonzero()[:, 0].tolist()
    for chosen in combinations(tied, size - int(certain.sum())):
        kept = certain.clone()
        kept[list(chosen)] = True
        yield kept


def _fail(sites: Sites, at: int, low: float, high: float, eps: float) -> None:
    row, site = sites.places[at].tolist()
    scores = sites.exact[at]
    raise AssertionError(
        f"replay: {sites.named(row, site)}: drew class {int(sites.values[at])} with uniform "
        f"{float(sites.uniforms[at])!r}; its interval is [{low!r}, {high!r}), eps {eps:.2e}, "
        f"its score {float(scores[sites.values[at]])!r}, the best {float(scores.max())!r}"
    )
