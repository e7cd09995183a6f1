"""One site of a draw as ONNX nodes: from (symbol, states, uniform) to (symbol, states).

The temperature divides the scores where it is asked for; else it is 1.

| form     | kind              | a layer is                                                    |
|----------|-------------------|---------------------------------------------------------------|
| operator | as users write it | the LSTM or GRU operator on the embedding                     |
| gemm     | as users write it | two Gemm and pointwise gates                                  |
| gemm     | same algebra      | a Gemm added to the folded table's row, pointwise gates       |
| operator | same algebra      | the operator; its input projection is the table, fed one-hot  |

Nothing is left to an exporter: constants lie in the graph that uses them, so that they are
prepacked, and gates of one activation stand side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bench.task import Task, Weights, fold_table


@dataclass
class Graph:
    """Nodes and constants under construction; `add` names what it makes."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, value: np.ndarray) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{op.lower()}{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def shape(self, *sizes: int) -> str:
        return self.constant(np.array(sizes, np.int64))


def _reorder(weight: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The gate blocks of axis 0 in another order."""
    blocks = np.split(weight, max(order) + 1)
    return np.concatenate([blocks[k] for k in order])


#: ONNX's order of torch's gates: i o f g for the LSTM, z r n for the GRU.
_OPERATOR_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}


def _operator(g: Graph, task: Task, x: str, w: list[np.ndarray], states: list[str]) -> list[str]:
    """x (1, N, in) and states (1, N, H) through the LSTM or GRU operator; w as torch has them."""
    order = _OPERATOR_ORDER[task.cell]
    w_ih, w_hh, b_ih, b_hh = (_reorder(part, order)[None] for part in w)
    bias = np.concatenate([b_ih, b_hh], axis=1)
    inputs = [x, g.constant(w_ih), g.constant(w_hh), g.constant(bias), "", *states]
    extra = {"linear_before_reset": 1} if task.cell == "gru" else {}
    out = g.add(
        task.cell.upper(), *inputs, outputs=1 + len(states), hidden_size=task.width, **extra
    )
    return list(out[1:])


def _lstm_gates(g: Graph, task: Task, a: str, state: list[str]) -> list[str]:
    """Gates in the order i f o g: one sigmoid over three of them."""
    width = task.width
    ifo, cell = g.add("Split", a, g.shape(3 * width, width), outputs=2, axis=1)
    i, f, o = g.add("Split", g.add("Sigmoid", ifo), g.shape(width, width, width), outputs=3, axis=1)
    c = g.add("Add", g.add("Mul", f, state[1]), g.add("Mul", i, g.add("Tanh", cell)))
    return [g.add("Mul", o, g.add("Tanh", c)), c]


def _gru_gates(g: Graph, task: Task, a: str, b: str, state: list[str]) -> list[str]:
    """Gates in torch's order r z n; `b` is the recurrent part."""
    width = task.width
    a_rz, a_n = g.add("Split", a, g.shape(2 * width, width), outputs=2, axis=1)
    b_rz, b_n = g.add("Split", b, g.shape(2 * width, width), outputs=2, axis=1)
    rz = g.add("Sigmoid", g.add("Add", a_rz, b_rz))
    r, z = g.add("Split", rz, g.shape(width, width), outputs=2, axis=1)
    n = g.add("Tanh", g.add("Add", a_n, g.add("Mul", r, b_n)))
    return [g.add("Add", n, g.add("Mul", z, g.add("Sub", state[0], n)))]


def _gemm_layer(
    g: Graph, task: Task, below: str, projected: bool, layer: list[np.ndarray], state: list[str]
) -> list[str]:
    """A layer from Gemm and pointwise; `projected` says that `below` is its input projection."""
    order = (0, 1, 3, 2) if task.cell == "lstm" else (0, 1, 2)
    w_ih, w_hh, b_ih, b_hh = (_reorder(part, order) for part in layer)

    def product(x: str, weight: np.ndarray, bias: str) -> str:
        return str(g.add("Gemm", x, g.constant(weight.T), bias))

    if task.cell == "lstm":
        if not projected:
            below = product(below, w_ih, g.constant(b_ih + b_hh))
        return _lstm_gates(g, task, product(state[0], w_hh, below), state)
    a = below if projected else product(below, w_ih, g.constant(b_ih))
    return _gru_gates(g, task, a, product(state[0], w_hh, g.constant(b_hh)), state)


def _draw(g: Graph, task: Task, weights: Weights, features: str, tempered: bool) -> str:
    """Softmax, running sums by a product with a triangle, and how many of them stay below u."""
    scores = g.add("Gemm", features, g.constant(weights.readout.T), g.constant(weights.bias))
    if tempered:
        scores = g.add("Div", scores, "temperature")
    triangle = np.triu(np.ones((task.classes, task.classes - 1), np.float32))
    sums = g.add("MatMul", g.add("Softmax", scores, axis=1), g.constant(triangle))
    below = g.add("Cast", g.add("LessOrEqual", sums, "uniform"), to=TensorProto.INT32)
    return str(g.add("ReduceSum", below, g.shape(1), keepdims=0))


def step_graph(
    task: Task, weights: Weights, form: str, folded: bool, tempered: bool = False
) -> tuple[Graph, list[str], list[str]]:
    """Nodes of one site; the names of symbol and states as they go in, and as they come out.

    The nodes also read `uniform` (N, 1) and, if `tempered`, `temperature` (N, 1).
    """
    g = Graph()
    per_layer = 2 if task.cell == "lstm" else 1
    states = [f"state{k}" for k in range(per_layer * task.depth)]
    layers = [list(vars(layer).values()) for layer in weights.layers]
    rows, projected = weights.embed, False
    if folded:
        rows, projected = _fold(task, weights, layers, form)
    x = g.add("Gather", g.constant(rows), "symbol")
    if form == "operator":
        x = g.add("Unsqueeze", x, g.shape(0))
    after: list[str] = []
    for j, layer in enumerate(layers):
        state = states[per_layer * j : per_layer * (j + 1)]
        if form == "operator":
            after += _operator(g, task, x, layer, state)
        else:
            after += _gemm_layer(g, task, x, projected and j == 0, layer, state)
        x = after[per_layer * j]
    if form == "operator":
        x = g.add("Reshape", x, g.shape(task.batch, task.width))
    symbol = _draw(g, task, weights, x, tempered)
    return g, ["symbol", *states], [symbol, *after]


def _fold(
    task: Task, weights: Weights, layers: list[list[np.ndarray]], form: str
) -> tuple[np.ndarray, bool]:
    """The rows to look up instead of the embedding, and whether they already are projected.

    For the operator, which wants an input projection, the table takes its place and is fed
    one-hot rows; the bias b_ih, being in the table, is dropped there.
    """
    table = fold_table(weights)
    _, w_hh, b_ih, b_hh = layers[0]
    if form == "operator":
        layers[0] = [table.T, w_hh, np.zeros_like(b_ih), b_hh]
        return np.eye(task.classes + 1, dtype=np.float32), False
    if task.cell == "lstm":
        table = _reorder((table + b_hh).T, (0, 1, 3, 2)).T
    return table, True
