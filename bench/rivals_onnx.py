"""Recurrent rivals in ONNX Runtime: the step graph driven with IO binding, and a Scan of it.

The nodes of a step are `onnx_step`'s. The step graph is these nodes; the Scan graph has them as its
body, uniforms scanned in and symbols scanned out. Every optimisation is on, workers may spin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from bench.harness import AS_WRITTEN, SAME_ALGEBRA, Contender
from bench.onnx_step import step_graph
from bench.task import Array, Symbols, Task, Weights

OPSET = 18


def _values(task: Task, form: str, names: list[str]) -> list[Any]:
    """Types of a step's inputs or outputs: symbol (N), states, and the uniform (N, 1) if there."""
    lead = [1] if form == "operator" else []
    state = [*lead, task.batch, task.width]

    def value(position: int, name: str) -> Any:
        if position == 0:
            return _symbol(name, task.batch)
        shape = [task.batch, 1] if name == "uniform" else state
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    return [value(k, name) for k, name in enumerate(names)]


def _symbol(name: str, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.INT32, list(shape))


def _session(graph: Any, threads: int) -> onnxruntime.InferenceSession:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _zero_state(task: Task, form: str) -> list[np.ndarray]:
    shape = (1, task.batch, task.width) if form == "operator" else (task.batch, task.width)
    count = (2 if task.cell == "lstm" else 1) * task.depth
    return [np.zeros(shape, np.float32) for _ in range(count)]


def _stepper(
    task: Task, weights: Weights, form: str, folded: bool, threads: int
) -> Callable[[Array], Symbols]:
    """Draws by running the step graph once a site, between two sets of buffers bound once."""
    g, inputs, outputs = step_graph(task, weights, form, folded)
    graph = helper.make_graph(
        g.nodes, "step", _values(task, form, inputs), _values(task, form, outputs), g.constants
    )
    session = _session(graph, threads)
    uniform = np.zeros((task.batch, 1), np.float32)
    sets = [[np.zeros(task.batch, np.int32), *_zero_state(task, form)] for _ in range(2)]
    bindings = [session.io_binding() for _ in range(2)]
    for k, binding in enumerate(bindings):
        for name, array in zip(inputs, [*sets[k], uniform], strict=True):
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in zip(outputs, sets[1 - k], strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    run, column = session.run_with_iobinding, uniform[:, 0]

    def draw(uniforms: Array) -> Symbols:
        rows = np.ascontiguousarray(uniforms.T)
        drawn = np.empty(rows.shape, np.int64)
        sets[0][0][:] = task.classes
        for state in sets[0][1:]:
            state[:] = 0
        for site, row in enumerate(rows):
            column[:] = row
            run(bindings[site & 1])
            drawn[site] = sets[1 - (site & 1)][0]
        return drawn.T

    return draw


def _scanner(
    task: Task, weights: Weights, form: str, folded: bool, threads: int
) -> Callable[[Array], Symbols]:
    """Draws by one run of a Scan over the sites."""
    g, inputs, outputs = step_graph(task, weights, form, folded)
    g.nodes.append(helper.make_node("Identity", [outputs[0]], ["drawn"]))
    body = helper.make_graph(
        g.nodes,
        "site",
        _values(task, form, inputs),
        [*_values(task, form, outputs), _symbol("drawn", task.batch)],
        g.constants,
    )
    carried = len(outputs)
    finals = [f"last_{name}" for name in inputs[:-1]]
    scan = helper.make_node(
        "Scan",
        [*inputs[:-1], "uniforms"],
        [*finals, "symbols"],
        body=body,
        num_scan_inputs=1,
    )
    start = _values(task, form, inputs)[:carried]
    uniforms_in = helper.make_tensor_value_info("uniforms", TensorProto.FLOAT, ["T", task.batch, 1])
    symbols_out = _symbol("symbols", "T", task.batch)
    session = _session(
        helper.make_graph([scan], "scan", [*start, uniforms_in], [symbols_out]), threads
    )
    initial = [np.full(task.batch, task.classes, np.int32), *_zero_state(task, form)]
    feeds = dict(zip(inputs[:-1], initial, strict=True))

    def draw(uniforms: Array) -> Symbols:
        rows = np.ascontiguousarray(uniforms.T)[:, :, None]
        drawn = session.run(["symbols"], {**feeds, "uniforms": rows})[0]
        return np.asarray(drawn, np.int64).T

    return draw


_ENGINES = {"onnx scan": _scanner, "onnx step": _stepper}


def offers(task: Task) -> list[tuple[str, str, str]]:
    """(kind, engine, form) of every ONNX Runtime rival of a row, nothing built yet."""
    kinds, forms = (AS_WRITTEN, SAME_ALGEBRA), ("operator", "gemm")
    return [(kind, engine, form) for engine in _ENGINES for kind in kinds for form in forms]


def build(
    task: Task, weights: Weights, kind: str, engine: str, form: str, threads: int
) -> Contender:
    """One ONNX Runtime rival."""
    draw = _ENGINES[engine](task, weights, form, kind == SAME_ALGEBRA, threads)
    return Contender(kind, engine, form, threads, draw)
