"""The graphs of an export run in ONNX Runtime, for what verification asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genfast.exporting.graphs import Graph
from genfast.exporting.onnx_graph import OnnxGraph
from genfast.random import uniforms
from genfast.sampling import Request

__all__ = ["Asked", "Drawn", "open_session", "run_sampler", "run_step"]


@dataclass(frozen=True)
class Asked:
    """A batch that is drawn, every option of every row.

    Args:
        request: Seeds, indices, temperatures, top-k, top-p and prompts, each int64 or float (N,).
        length: int64 (N,), new sites of each row.
        stop: Symbol after which a row ends.
    """

    request: Request
    length: Tensor
    stop: int | None

    def uniforms(self) -> Tensor:
        """float32 (N, sites) of every site, the prompt's included."""
        request = self.request
        sites = int((_array(request.prompt_lengths) + _array(self.length)).max())
        return uniforms(request.seed, len(self.length), sites, index=request.index)


@dataclass(frozen=True)
class Drawn:
    """int64 (N, T) new sites, 0 behind a row's length, and int64 (N,) lengths."""

    values: Tensor
    lengths: Tensor


def open_session(graph: OnnxGraph) -> Any:
    """An `onnxruntime.InferenceSession` on the processor."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; what matters is raised
    options.intra_op_num_threads = torch.get_num_threads()
    # Its workers would wait in the way of torch's, which draw next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])


def run_sampler(session: Any, asked: Asked) -> Drawn:
    """What the sampler's graph draws, or its variant that is given uniforms."""
    columns = {**_options(asked), "length": asked.length, "seed": asked.request.seed}
    columns |= {"index": asked.request.index, "prompt_length": asked.request.prompt_lengths}
    fed = {name: _array(value)[:, None] for name, value in columns.items()}
    fed |= {"prompt": _array(asked.request.prompt), "uniforms": _array(asked.uniforms())}
    names = [value.name for value in session.get_inputs()]
    values, lengths = session.run(["values", "lengths"], {name: fed[name] for name in names})
    return Drawn(torch.from_numpy(values), torch.from_numpy(lengths[:, 0]))


def run_step(session: Any, graph: Graph, asked: Asked) -> tuple[Drawn, Tensor]:
    """What the step graph draws, driven by hand, and its scores of every site."""
    request = asked.request
    begins = _array(request.prompt_lengths)
    chance = _array(asked.uniforms())
    n, sites = chance.shape
    prompt = np.pad(_array(request.prompt), ((0, 0), (0, sites)))
    tokens, scores = np.zeros((n, sites), np.int64), np.zeros((n, sites, graph.classes), np.float32)
    states = {s.name: np.zeros((n, s.width), np.float32) for s in graph.states}
    fixed = {name: _array(value)[:, None] for name, value in _options(asked).items()}
    fixed = {name: array for name, array in fixed.items() if name in graph.inputs}
    names = ["drawn", "scores", *(f"{name}_next" for name in states)]
    symbol = np.full((n, 1), graph.classes)
    for t in range(sites):
        fed = {"symbol": symbol, "uniform": chance[:, t : t + 1], **states, **fixed}
        drawn, scores[:, t], *after = session.run(names, fed)
        states = dict(zip(states, after, strict=True))
        symbol = np.where(t < begins[:, None], prompt[:, t : t + 1], drawn)
        tokens[:, t] = symbol[:, 0]
    drawn = _new_sites(tokens, begins, asked)
    return drawn, torch.from_numpy(scores[:, : max([0, *(begins + _array(drawn.lengths))])])


def _new_sites(tokens: NDArray[np.int64], begins: NDArray[np.int64], asked: Asked) -> Drawn:
    """The new sites of whole sequences (N, sites), ended as the sampler's graph ends them."""
    lengths = _array(asked.length).copy()
    values = np.zeros((len(tokens), max([0, *lengths])), np.int64)
    for row, (begin, length) in enumerate(zip(begins, lengths, strict=True)):
        new = tokens[row, begin : begin + length]
        ends = np.flatnonzero(new == (-1 if asked.stop is None else asked.stop))
        lengths[row] = ends[0] + 1 if len(ends) else length
        values[row, : lengths[row]] = new[: lengths[row]]
    return Drawn(torch.from_numpy(values), torch.from_numpy(lengths))


def _options(asked: Asked) -> dict[str, Any]:
    named = {name: getattr(asked.request, name) for name in ("temperature", "top_k", "top_p")}
    return {name: value for name, value in named.items() if value is not None}


def _array(value: Any) -> NDArray[Any]:
    return np.asarray(value)
