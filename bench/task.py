"""The work that every contender does: a recurrent model's weights, and a float64 oracle.

One site of a draw is

    a    = table or embedding of the last symbol, through the recurrent layers
    p    = softmax(readout a)
    next = the first class whose running sum of p is greater than the site's uniform

and `next` is what the following site looks up. The first site looks up symbol `classes`, the
start row. Everybody gets the same weights and the same uniforms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Symbols = NDArray[np.int64]

GATES = {"lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Task:
    """One row of the benchmark.

    Args:
        cell: `"lstm"` or `"gru"`.
        width: units of every layer, and of the embedding.
        depth: recurrent layers.
        batch: samples drawn at once.
        classes: symbols of the vocabulary.
    """

    cell: str
    width: int
    depth: int
    batch: int
    classes: int = 65

    @property
    def name(self) -> str:
        return f"{self.cell} {self.depth}x{self.width} batch {self.batch}"

    @property
    def gate_width(self) -> int:
        """Pre-activations of a layer."""
        return GATES[self.cell] * self.width

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds that one site of one sample needs, the input projection being a table."""
        products = 2 * self.depth - 1
        return products * self.gate_width * self.width + self.classes * self.width

    @property
    def weight_bytes(self) -> int:
        """Bytes of the matrices that one site reads, however large the batch."""
        return 4 * self.multiply_adds


@dataclass(frozen=True)
class Layer:
    """A recurrent layer in torch's layout: w_ih (G*H, in), w_hh (G*H, H), b_ih and b_hh (G*H)."""

    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array


@dataclass(frozen=True)
class Weights:
    """embed (classes + 1, H), the layers, readout (classes, H), bias (classes)."""

    embed: Array
    layers: tuple[Layer, ...]
    readout: Array
    bias: Array


def make_weights(task: Task, seed: int = 0) -> Weights:
    """Weights as torch initialises them: normal embedding, the rest uniform in +-1/sqrt(H)."""
    rng = np.random.default_rng(seed)
    bound = task.width**-0.5

    def uniform(*shape: int) -> Array:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    def layer() -> Layer:
        wide, width = task.gate_width, task.width
        return Layer(uniform(wide, width), uniform(wide, width), uniform(wide), uniform(wide))

    embed = rng.standard_normal((task.classes + 1, task.width), dtype=np.float32)
    layers = tuple(layer() for _ in range(task.depth))
    return Weights(embed, layers, uniform(task.classes, task.width), uniform(task.classes))


def fold_table(weights: Weights) -> Array:
    """The embedding through the first layer's input projection and its bias: (classes + 1, G*H)."""
    first = weights.layers[0]
    product = weights.embed.astype(np.float64) @ first.w_ih.T.astype(np.float64)
    return (product + first.b_ih).astype(np.float32)


def make_uniforms(task: Task, sites: int, seed: int = 0) -> Array:
    """float32 (batch, sites) in [0, 1), multiples of 2**-24."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**24, (task.batch, sites))
    return (words * 2.0**-24).astype(np.float32)


def forced_scores(
    task: Task,
    weights: Weights,
    symbols: Symbols,
    dtype: type,
    rounded: Callable[[Array], Array] = lambda values: values,
) -> Iterator[Array]:
    """Scores (batch, classes) of each site given the symbols before it: the oracle, by the book.

    `rounded` is what a narrower dtype makes of every result.
    """
    embed = weights.embed.astype(dtype)
    layers = [[w.astype(dtype) for w in vars(layer).values()] for layer in weights.layers]
    readout, bias = weights.readout.astype(dtype), weights.bias.astype(dtype)
    state = [np.zeros((2, len(symbols), task.width), dtype) for _ in layers]
    last = np.full(len(symbols), task.classes)
    for site in range(symbols.shape[1]):
        x = embed[last]
        for j, (w_ih, w_hh, b_ih, b_hh) in enumerate(layers):
            a, b = rounded(x @ w_ih.T + b_ih), rounded(state[j][0] @ w_hh.T + b_hh)
            state[j] = rounded(_CELLS[task.cell](a, b, *state[j]))
            x = state[j][0]
        yield rounded(x @ readout.T + bias)
        last = symbols[:, site]


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _lstm(a: Array, b: Array, h: Array, c: Array) -> Array:
    i, f, g, o = np.split(a + b, 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return np.stack([_sigmoid(o) * np.tanh(c), c])


def _gru(a: Array, b: Array, h: Array, c: Array) -> Array:
    (a_r, a_z, a_n), (b_r, b_z, b_n) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
    z = _sigmoid(a_z + b_z)
    n = np.tanh(a_n + _sigmoid(a_r + b_r) * b_n)
    return np.stack([n + z * (h - n), c])


_CELLS = {"lstm": _lstm, "gru": _gru}
