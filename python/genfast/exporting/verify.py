"""Whether ONNX Runtime draws from the graphs what the model says, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from genfast.exporting.graphs import Graph, Options
from genfast.exporting.runs import Asked, Drawn, open_session, run_sampler, run_step
from genfast.random import INDEX_LIMIT, fold
from genfast.sampling import Request, sample
from genfast.testing import replay_drawn
from genfast.watching import watched

__all__ = ["WATCHED", "Found", "cycle", "each", "verify"]

#: What is said of a verification that takes long.
WATCHED = "verifying the export"

# Multiply-adds, and numbers of scores, that a verification may take for one graph; sites.
_WORK, _SCORES = 1e9, 4e6
_FEWEST_SITES, _MOST_SITES = 24, 300


@dataclass(frozen=True)
class Found:
    """What verification found in order; the fields are those of `Report`."""

    score_gap: float
    sites: int
    skipped: int
    equal_samples: float


def verify(model: Any, graphs: dict[str, Graph], multiply_adds: int, begin: float) -> Found:
    """Replays what every graph draws: two batches of mixed rows, and scores by the step graph.

    Args:
        model: What was exported.
        graphs: All graphs, by their kind.
        multiply_adds: Of one site, which decide how many sites are drawn.
        begin: When the export began, which decides when a line of progress appears.

    Raises:
        RuntimeError: Naming the graph, row, site and numbers, where one draws something else.
    """
    step = graphs["step"]
    sites = min(_MOST_SITES, _WORK / max(1, multiply_adds), _SCORES / step.classes)
    sites = max(_FEWEST_SITES, int(sites))
    batches = [(1, sites // 5), (7, sites // 7)]
    found: list[tuple[int, int, float, float]] = []
    session: Any = None
    numbered = list(product(graphs.values(), enumerate(batches)))
    for graph, (number, (n, length)) in watched(numbered, WATCHED, begin):
        if number == 0:
            session = open_session(graph)
        asked = _asked(model, step.options, number, n, max(1, length))
        found.append(_replayed(model, graph, session, asked))
    counts, skipped, gaps, equal = zip(*found, strict=True)
    rows = len(graphs) * sum(n for n, _ in batches)
    return Found(max(gaps), sum(counts), sum(skipped), sum(equal) / rows)


def _replayed(
    model: Any, graph: Graph, session: Any, asked: Asked
) -> tuple[int, int, float, float]:
    """Sites, sites skipped, largest gap of a score, and samples equal to the library's."""
    scores = None
    if graph.kind == "step":
        drawn, scores = run_step(session, graph, asked)
    else:
        drawn = run_sampler(session, asked)
    try:
        report = replay_drawn(model, drawn, asked.request, scores)
    except AssertionError as error:
        raise RuntimeError(
            f"export: ONNX Runtime draws from the {graph.kind} graph what the model does not: "
            f"{error}; nothing was written"
        ) from None
    return report.sites, report.skipped, report.score_error or 0.0, _equal(model, drawn, asked)


def _asked(model: Any, options: Options, number: int, n: int, length: int) -> Asked:
    """A batch of rows that differ in everything that may differ; the first is plain."""
    seeds = [fold(number, "verify", row) for row in range(n)]
    generator = torch.Generator().manual_seed(seeds[0])
    prompt = torch.randint(model.head.classes, (n, 5), generator=generator)
    row = torch.arange(n)
    request = Request(
        seed=torch.tensor(seeds),
        index=(row * 1_000_003 + number * (INDEX_LIMIT - 1)) % INDEX_LIMIT,
        temperature=cycle(n, 1.0, 0.8, 0.0, 1.5),
        top_k=each(options.top_k, n, 0, 1, 2, 40),
        top_p=each(options.top_p, n, 1.0, 0.9, 0.5),
        prompt=prompt,
        prompt_lengths=cycle(n, 0, 1, 5, 2, 0, 4) if n > 1 else torch.tensor([3]),
    )
    lengths = torch.full((n,), length)
    lengths[-1] = length if n == 1 else length // 2
    return Asked(request, lengths, options.stop)


def each(wanted: Any, n: int, *values: Any) -> Tensor | None:
    """An option of every row: mixed where it is an input."""
    if wanted is None:
        return None
    return cycle(n, *values) if wanted == "input" else cycle(n, wanted)


def cycle(n: int, *values: Any) -> Tensor:
    return torch.tensor([values[row % len(values)] for row in range(n)])


def _equal(model: Any, drawn: Drawn, asked: Asked) -> float:
    """How many samples are what the library draws."""
    n, longest = len(asked.length), int(asked.length.max())
    own = sample(model, n, longest, asked.request, stop=asked.stop)
    lengths = torch.minimum(own.lengths.cpu(), asked.length)
    there = torch.arange(longest) < lengths[:, None]
    values = own.values.cpu().where(there, 0)
    same = (values == drawn.values).all(-1) & (lengths == drawn.lengths)
    return float(same.sum())
