"""The graphs of an exported image sampler run in ONNX Runtime, for what verification asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genfast.exporting.graphs import Graph
from genfast.random import uniforms
from genfast.rasters import RasterRequest

__all__ = ["run_image_step", "run_images"]


def run_images(session: Any, graph: Graph, request: RasterRequest) -> Tensor:
    """What the sampler's graph draws, or its variant that is given uniforms: int64 (N, C, H, W).

    Args:
        session: Of the graph.
        graph: The graph.
        request: Every option a tensor, of each row.
    """
    fed = _columns(request) | _conditions(graph, request)
    fed["given"] = _given(graph, request)
    fed["uniforms"] = _uniforms(graph, request)
    (values,) = session.run(["values"], {name: fed[name] for name in graph.inputs})
    return torch.from_numpy(values)


def run_image_step(session: Any, graph: Graph, request: RasterRequest) -> tuple[Tensor, Tensor]:
    """What the step graph draws, row by row, and its scores, float32 (N, H*W, D, P)."""
    assert graph.shape is not None
    channels, height, width = graph.shape
    given, chance = _given(graph, request), _uniforms(graph, request)
    n = len(given)
    fixed = _columns(request) | _conditions(graph, request)
    states = {state.name: _begin(state, n) for state in graph.states}
    values = np.zeros((n, channels, height, width), np.int64)
    scores = []
    names = ["drawn", "scores", *(f"{name}_next" for name in states)]
    for y in range(height):
        here = {"given": given[:, :, y], "uniform": chance.reshape(n, height, -1)[:, y]}
        maps = {name: value[:, :, y] for name, value in fixed.items() if value.ndim == 4}
        fed = fixed | maps | states | here
        asked = {name: fed[name] for name in graph.inputs}
        values[:, :, y], its, *after = session.run(names, asked)
        scores.append(its)
        states = dict(zip(states, after, strict=True))
    return torch.from_numpy(values), torch.from_numpy(np.concatenate(scores, 1))


def _begin(state: Any, n: int) -> NDArray[Any]:
    if state.symbols is not None:
        return np.full((n, state.columns), state.symbols)
    return np.zeros((n, state.columns, state.width), np.float32)


def _columns(request: RasterRequest) -> dict[str, NDArray[Any]]:
    """Options as columns (N, 1)."""
    names = ("seed", "index", "temperature", "top_k", "top_p")
    named = {name: getattr(request, name) for name in names}
    return {name: value.numpy()[:, None] for name, value in named.items() if value is not None}


def _conditions(graph: Graph, request: RasterRequest) -> dict[str, NDArray[Any]]:
    named = {name: getattr(request, name).cpu().numpy() for name in graph.conditions}
    return {name: v[:, None] if v.ndim == 1 else v for name, v in named.items()}


def _given(graph: Graph, request: RasterRequest) -> NDArray[np.int64]:
    """int64 (N, C, H, W), -1 where a level is to be drawn."""
    assert isinstance(request.seed, Tensor)
    if request.given is None:
        return np.full((len(request.seed), *(graph.shape or ())), -1)
    image, mask = request.given
    given: NDArray[np.int64] = torch.where(mask, image, -1).cpu().numpy()
    return given


def _uniforms(graph: Graph, request: RasterRequest) -> NDArray[np.float32]:
    """float32 (N, draws), pixel by pixel."""
    assert isinstance(request.seed, Tensor)
    draws = graph.pixels * graph.parts * graph.draws
    return uniforms(request.seed, len(request.seed), draws, index=request.index).numpy()
