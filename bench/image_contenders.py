"""Rivals of the PixelCNN benchmark that draw, and the compiled core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.image_forwards import Forward
from bench.image_task import CACHED, EXPORTED, FORWARD, NAIVE, OURS, Contender, ImageTask, drawn
from bench.onnx_site import open_session
from genfast import PixelCNN
from genfast._extension import core
from genfast.exporting.raster import build_raster
from genfast.program import Program

#: Sites that the naive draw really makes; its time is scaled to all.
NAIVE_SITES = 3


def core_draw(task: ImageTask, executor: Any, uniforms: Tensor, threads: int) -> Contender:
    """The compiled draw, from arrays bound once, as `sample` binds them."""
    return Contender(
        OURS,
        f"core {executor.isa}",
        threads,
        lambda: _session_and_values(task, executor, uniforms, threads)[1],
    )


def core_scratch(task: ImageTask, executor: Any, uniforms: Tensor, threads: int) -> int:
    """Bytes that the core keeps beside weights, uniforms and values, at the end of a draw.

    Threads that draw rows of one image at once need more than one alone, and only then.
    """
    session, _ = _session_and_values(task, executor, uniforms, threads)
    return int(session.scratch_bytes)


def _session_and_values(
    task: ImageTask, executor: Any, uniforms: Tensor, threads: int
) -> tuple[Any, Tensor]:
    session = core.Session(executor, task.batch)
    ones, index = np.ones(task.batch, np.float32), np.zeros(task.batch, np.int64)
    session.options(ones, index, ones)
    values = torch.empty(uniforms.shape, dtype=torch.int64)
    session.bind(uniforms, values)
    session.advance(0, uniforms.shape[1], threads)
    return session, values


def forward_pass(form: str, forward: Forward, encoded: Tensor, threads: int) -> Contender:
    """One pass of the network over a batch."""

    def run() -> Tensor:
        with torch.inference_mode():
            return forward(encoded)

    return Contender(FORWARD, form, threads, run)


def naive_draw(
    task: ImageTask, model: PixelCNN, passing: tuple[str, Forward], uniforms: Tensor, threads: int
) -> Contender:
    """As every tutorial draws: the whole network for each site; a few sites, scaled to all.

    Args:
        task: What is drawn.
        model: Encodes images.
        passing: A form of the forward pass, and its name.
        uniforms: Those of all sites.
        threads: How many the pass uses.
    """
    form, forward = passing
    sites = task.side * task.side * task.channels
    made = min(NAIVE_SITES, sites)

    def draw() -> Tensor:
        x = torch.zeros(task.batch, task.channels, task.side, task.side, dtype=torch.int64)
        with torch.inference_mode():
            for site in range(made):
                pixel, channel = divmod(site, task.channels)
                row, column = divmod(pixel, task.side)
                scores = forward(model.encode(x))[:, row, column, channel]
                x[:, channel, row, column] = drawn(scores, uniforms[:, pixel, channel])
        return x.flatten(2).transpose(1, 2).flatten(1)[:, :made]

    return Contender(NAIVE, form, threads, draw, sites / made)


def cached_draw(
    draw: Callable[[Tensor], Tensor], form: str, uniforms: Tensor, threads: int
) -> Contender:
    """A `CachedDrawer`."""
    return Contender(CACHED, form, threads, lambda: draw(uniforms))


def exported_graph(program: Program) -> bytes:
    """The sampler's graph as `genfast.export` writes it.

    Built directly: `export` verifies by replay first, which takes longer than this row. The
    benchmark holds the very images that it draws against the core's instead.
    """
    graph: bytes = build_raster(program, uniforms=False).SerializeToString()
    return graph


def exported_draw(task: ImageTask, graph: bytes, threads: int) -> Contender:
    """The exported sampler in ONNX Runtime, from a seed."""
    n, session = task.batch, open_session(graph, threads)
    feeds = {
        "seed": np.zeros((n, 1), np.int64),
        "index": np.arange(n)[:, None],
        "temperature": np.ones((n, 1), np.float32),
        "given": np.full((n, task.channels, task.side, task.side), -1),
    }

    def draw() -> Tensor:
        images = torch.from_numpy(session.run(["values"], feeds)[0])
        return images.flatten(2).transpose(1, 2)

    return Contender(EXPORTED, "onnxruntime", threads, draw)
