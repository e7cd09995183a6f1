"""Replay of sequences: scores, draws and whole samples of a backend against the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from genfast.arguments import RowOptions
from genfast.random import uniforms_reference
from genfast.sampling import Request, Sample, sample
from genfast.session import Session
from genfast.testing.draws import ReplayReport, Sites, check_draws, check_scores, reference_scores

__all__ = ["Drawn", "Sequences", "joined", "replay", "replay_drawn"]


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
    scores = None if session.scores is None else session.scores.cpu()
    report = replay_drawn(model, drawn, request, scores, backend=session.backend)
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
    exact = reference_scores(model, torch.float64, tokens)
    site = torch.arange(tokens.shape[1])
    error = None if scores is None else check_scores(scores, exact, site < ends[:, None])
    close = reference_scores(model, torch.float32, tokens)
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
