"""What the hand-made graphs share: one site's nodes with the types around them, and a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from bench.onnx_step import Graph, step_graph
from bench.task import Array, Symbols, Task, Weights

OPSET = 18
TEMPERATURE = "temperature"


@dataclass(frozen=True)
class Site:
    """One site of a draw as nodes, and the names that go in and come out.

    Args:
        task: what is drawn.
        form: `"operator"` or `"gemm"`.
        tempered: whether the temperature is an input, (N, 1).
        graph: nodes and constants.
        carried: names of the symbol (N) and the states, which go in.
        outputs: names of what takes their place.
    """

    task: Task
    form: str
    tempered: bool
    graph: Graph
    carried: list[str]
    outputs: list[str]

    @classmethod
    def of(cls, task: Task, weights: Weights, form: str, folded: bool) -> Site:
        """The site of a form, such as `"gemm"` or `"gemm, temperature"`."""
        form, _, extra = form.partition(", ")
        tempered = extra == TEMPERATURE
        graph, carried, outputs = step_graph(task, weights, form, folded, tempered)
        return cls(task, form, tempered, graph, carried, outputs)

    def types(self, names: list[str]) -> list[Any]:
        """Types of a symbol and states of these names."""
        symbol = helper.make_tensor_value_info(names[0], TensorProto.INT32, [self.task.batch])
        states = [(self._state, name) for name in names[1:]]
        return [symbol, *(floats(name, *shape) for shape, name in states)]

    def start(self) -> dict[str, np.ndarray]:
        """Where every draw begins: the start row's symbol, and states of zeros."""
        symbol = np.full(self.task.batch, self.task.classes, np.int32)
        states = {name: np.zeros(self._state, np.float32) for name in self.carried[1:]}
        return {self.carried[0]: symbol} | states

    def temperature_type(self) -> list[Any]:
        """The type of the temperature, where it is an input."""
        return [floats(TEMPERATURE, self.task.batch, 1)] if self.tempered else []

    def temperature(self) -> dict[str, np.ndarray]:
        """Temperature 1, where it is an input."""
        return {TEMPERATURE: np.ones((self.task.batch, 1), np.float32)} if self.tempered else {}

    @property
    def _state(self) -> tuple[int, ...]:
        return ((1,) if self.form == "operator" else ()) + (self.task.batch, self.task.width)


def floats(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def drawn_type(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.INT32, list(shape))


def serialized(graph: Any) -> bytes:
    """A checked model of this graph."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def open_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session with every optimisation on, whose workers may spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # else a line for every name that the optimiser leaves
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def whole_draw(graph: Any, site: Site, threads: int) -> Any:
    """A draw by one run of a graph from carried values and uniforms (T, N, 1) to symbols (T, N)."""
    session = open_session(serialized(graph), threads)
    feeds = site.start() | site.temperature()

    def draw(uniforms: Array) -> Symbols:
        rows = np.ascontiguousarray(uniforms.T)[:, :, None]
        drawn = session.run(["symbols"], {**feeds, "uniforms": rows})[0]
        return np.asarray(drawn, np.int64).T

    return draw
