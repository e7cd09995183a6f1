"""Whether ONNX Runtime draws the images that the model says, before anything is written."""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor

from genfast.exporting.graphs import Graph, Options
from genfast.exporting.image_runs import run_image_step, run_images
from genfast.exporting.runs import open_session
from genfast.exporting.verify import WATCHED, Found, cycle, each
from genfast.pixels import Layout
from genfast.random import INDEX_LIMIT, fold
from genfast.rasters import RasterRequest, sample
from genfast.testing import ImageReplay, ReplayReport
from genfast.watching import watched

__all__ = ["verify_images"]

# Multiply-adds that the larger batch may take for one graph; images of it.
_WORK = 1e9
_FEWEST_IMAGES, _MOST_IMAGES = 2, 7


def verify_images(model: Any, graphs: dict[str, Graph], multiply_adds: int, begin: float) -> Found:
    """Replays what every graph draws: one plain image, then a batch of mixed rows.

    Args:
        model: What was exported.
        graphs: All graphs, by their kind.
        multiply_adds: Of one pixel, which decide how many images are drawn.
        begin: When the export began, which decides when a line of progress appears.

    Raises:
        RuntimeError: Naming the graph, row, pixel and numbers, where one draws something else.
    """
    _, height, width = model.shape
    work = height * width * max(1, multiply_adds)
    images = int(min(_MOST_IMAGES, max(_FEWEST_IMAGES, _WORK / work)))
    batches = [
        _Batch(model, _asked(model, graphs["step"].options, number, n))
        for number, n in enumerate((1, images))
    ]
    found: list[tuple[ReplayReport, int]] = []
    session: Any = None
    for graph, batch in watched(list(product(graphs.values(), batches)), WATCHED, begin):
        if batch is batches[0]:
            session = open_session(graph)
        found.append(batch.replayed(graph, session))
    return Found(
        score_gap=max(report.score_error or 0.0 for report, _ in found),
        sites=sum(report.sites for report, _ in found),
        skipped=sum(report.skipped for report, _ in found),
        equal_samples=sum(equal for _, equal in found) / (len(graphs) * (1 + images)),
    )


class _Batch:
    """A batch that every graph draws; graphs that draw the same images are replayed as one."""

    def __init__(self, model: Any, asked: RasterRequest) -> None:
        self._asked, self._device = asked, next(model.parameters()).device
        self._replay = ImageReplay(model, asked)
        assert isinstance(asked.seed, Tensor)
        self._own = sample(model, len(asked.seed), asked).cpu()

    def replayed(self, graph: Graph, session: Any) -> tuple[ReplayReport, int]:
        """What replay found of a graph, and how many images are the library's."""
        scores = None
        if graph.kind == "step":
            drawn, scores = run_image_step(session, graph, self._asked)
        else:
            drawn = run_images(session, graph, self._asked)
        try:
            report = self._replay.check(drawn.to(self._device), scores)
        except AssertionError as error:
            raise RuntimeError(
                f"export: ONNX Runtime draws from the {graph.kind} graph what the model does not: "
                f"{error}; nothing was written"
            ) from None
        return report, int((drawn == self._own).flatten(1).all(-1).sum())


def _asked(model: Any, options: Options, number: int, n: int) -> RasterRequest:
    """A batch of rows that differ in everything that may differ; one alone is plain."""
    seeds = [fold(number, "verify", row) for row in range(n)]
    generator = torch.Generator().manual_seed(seeds[0])
    device = next(model.parameters()).device
    shape = (n, *model.shape)
    image = torch.randint(model.levels, shape, generator=generator)
    # A draw that gives all channels of a pixel is given whole pixels.
    channels = 1 if Layout.of(model).parts == 1 else shape[1]
    mask = torch.rand(n, channels, *shape[2:], generator=generator) < 0.3
    labels = torch.randint(model.classes or 1, (n,), generator=generator)
    vector = torch.randn(n, model.vector or 0, generator=generator)
    features = torch.randn(n, model.features or 0, *shape[2:], generator=generator)
    return RasterRequest(
        seed=torch.tensor(seeds),
        index=(torch.arange(n) * 1_000_003 + number * (INDEX_LIMIT - 1)) % INDEX_LIMIT,
        classes=labels.to(device) if model.classes else None,
        vector=vector.to(device) if model.vector else None,
        features=features.to(device) if model.features else None,
        given=None if n == 1 else (image.to(device), mask.to(device)),
        temperature=cycle(n, 1.0, 0.8, 0.0, 1.5),
        top_k=each(options.top_k, n, 0, 1, 2, 40),
        top_p=each(options.top_p, n, 1.0, 0.9, 0.5),
    )
