"""Replay: whether a backend draws what the model says, checked site by site against float64.

What a backend drew is taken as it is, and every site asked by itself: given this very prefix, does
the uniform fall into the interval of the symbol that was drawn? So errors do not add up, and a
wrong kernel has no place to hide.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from genfast import heads
from genfast.arguments import RowOptions
from genfast.random import uniforms_reference
from genfast.reference import evaluating
from genfast.sampling import Request, Sample, sample
from genfast.session import Session

__all__ = [
    "TOLERANCE",
    "Drawn",
    "ReplayReport",
    "Sequences",
    "Sites",
    "check_draws",
    "check_scores",
    "joined",
    "replay",
    "replay_drawn",
]

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


class Drawn(Protocol):
    """What a backend drew: int64 (N, T) new sites alone, and int64 (N,) how many of each row."""

    @property
    def values(self) -> Tensor: ...

    @property
    def lengths(self) -> Tensor: ...


class Sequences(NamedTuple):
    """Whole sequences: int64 (N, T), and int64 (N,) where new sites begin and end in each row."""

    tokens: Tensor
    begins: Tensor
    ends: Tensor


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
    """

    exact: Tensor
    close: Tensor
    values: Tensor
    uniforms: Tensor
    options: heads.DrawOptions
    places: Tensor


def replay(
    model: Any,
    n: int = 16,
    length: int = 64,
    *,
    stop: int | Tensor | None = None,
    whole: bool = True,
    seed: int | Tensor = 0,
    backend: str = "cpu",
    **options: Any,
) -> ReplayReport:
    """Draws with a backend and checks scores, draws and whole samples against the reference.

    Args:
        model: What is drawn from.
        n: Samples.
        length: New sites a sample.
        stop: As for `sample`.
        whole: Whether to draw the samples with the reference backend, too, and compare.
        seed: As for `sample`.
        backend: The backend to check.
        options: Further fields of `genfast.sampling.Request`.

    Raises:
        AssertionError: Naming row, site and numbers, when a score is off by more than `TOLERANCE`,
            a draw is not what its uniform asks for, or more than 0.1% of the sites were skipped.
    """
    request = Request(seed=seed, backend=backend, **options)
    drawn = sample(model, n, length, request, stop=stop)
    sequences = joined(drawn, request)
    session = Session(model, n, seed=seed, backend=backend, scores=True)
    session.advance(sequences.tokens.shape[1], sequences.tokens)
    report = replay_drawn(model, drawn, request, session.scores, backend=session.backend)
    share = _equal_samples(model, drawn, request, length, stop) if whole else None
    return replace(report, equal_samples=share)


def replay_drawn(
    model: Any,
    drawn: Drawn,
    request: Request,
    scores: Tensor | None = None,
    *,
    backend: str = "",
) -> ReplayReport:
    """Checks what any backend drew, site by site, and scores where it gives them.

    Args:
        model: What was drawn from.
        drawn: The new sites, such as a `genfast.Sample`.
        request: What the draw began with; its seed is a number or int64 (N,).
        scores: float32 (N, T, classes), the backend's scores of `joined(drawn, request).tokens`.
        backend: What drew, for the report.

    Raises:
        AssertionError: As for `replay`.
    """
    tokens, begins, ends = joined(drawn, request)
    row_options = _row_options(request, len(tokens))
    exact = _reference_scores(model, tokens, torch.float64)
    site = torch.arange(tokens.shape[1])
    error = None if scores is None else check_scores(scores, exact, site < ends[:, None])
    close = _reference_scores(model, tokens, torch.float32)
    places = ((site >= begins[:, None]) & (site < ends[:, None])).nonzero()
    rows, columns = places.T
    firsts = torch.zeros(len(tokens), dtype=torch.int64)
    uniforms = uniforms_reference(row_options.seed, row_options.index, firsts, tokens.shape[1])
    skipped = check_draws(
        Sites(
            exact[rows, columns],
            close[rows, columns],
            tokens[rows, columns],
            uniforms[rows, columns],
            row_options.select(rows).draw,
            places,
        )
    )
    return ReplayReport(backend, len(places), skipped, error, None)


def joined(drawn: Drawn, request: Request) -> Sequences:
    """Prompt and new sites of every row in one."""
    values, lengths = drawn.values.cpu(), drawn.lengths.cpu()
    prompt = values[:, :0] if request.prompt is None else request.prompt.cpu()
    begins = torch.full_like(lengths, prompt.shape[1])
    if request.prompt_lengths is not None:
        begins = request.prompt_lengths.cpu()
    ends = begins + lengths
    tokens = torch.zeros(len(values), max([0, *ends.tolist()]), dtype=torch.int64)
    for row, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        tokens[row, :begin] = prompt[row, :begin]
        tokens[row, begin:end] = values[row, : end - begin]
    return Sequences(tokens, begins, ends)


def check_scores(got: Tensor, exact: Tensor, counts: Tensor) -> float:
    """The direct part: scores within `TOLERANCE` of the reference's.

    Args:
        got: float32 (N, T, classes).
        exact: float64 (N, T, classes).
        counts: bool (N, T), the sites to look at.

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
            f"replay: row {row}, site {site}: score of class {symbol} is {float(got[place])!r}, "
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
    if skipped.sum() > _MOST_SKIPPED * len(rows):
        raise AssertionError(f"replay: {int(skipped.sum())} of {len(rows)} sites have eps > 1e-3")
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
        f"replay: row {row}, site {site}: drew class {int(sites.values[at])} with uniform "
        f"{float(sites.uniforms[at])!r}; its interval is [{low!r}, {high!r}), eps {eps:.2e}, "
        f"its score {float(scores[sites.values[at]])!r}, the best {float(scores.max())!r}"
    )


def _reference_scores(model: Any, tokens: Tensor, dtype: torch.dtype) -> Tensor:
    """Scores (N, T, classes) by `forward` of a copy in `dtype` on the CPU, all sites at once."""
    twin = copy.deepcopy(model).to("cpu", dtype)
    with evaluating(twin):
        scores: Tensor = twin(tokens)
    return scores


def _row_options(request: Request, n: int) -> RowOptions:
    names = ("seed", "index", "temperature", "top_k", "top_p")
    return RowOptions.of("replay", n, **{name: getattr(request, name) for name in names})


def _equal_samples(
    model: Any, drawn: Sample, request: Request, length: int, stop: int | Tensor | None
) -> float:
    """Share of samples equal to what the reference backend draws from the same uniforms."""
    fields = {**vars(request), "seed": drawn.seed, "backend": "reference"}
    other = sample(model, len(drawn.values), length, Request(**fields), stop=stop)
    return float((drawn.values == other.values).all(-1).float().mean())
