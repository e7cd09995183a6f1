"""Tests of the compiled core on NumPy arrays alone.

With `$GENFAST_CORE`, the folder of another build of the extension, that one is tested instead of
the installed one and torch is never imported: so these tests run under the sanitizers too.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def load_core() -> ModuleType:
    folder = os.environ.get("GENFAST_CORE")
    if folder is None:
        return importlib.import_module("genfast._extension").core
    (path,) = Path(folder).glob("_core*.so")
    spec = importlib.util.spec_from_file_location("_core", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CORE = load_core()


@pytest.fixture(scope="session")
def core() -> ModuleType:
    return CORE


@pytest.fixture(params=CORE.isas())
def isa(request: pytest.FixtureRequest) -> str:
    return request.param


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


class Network:
    """A recurrent network over symbols: weights, their program, and plain float64 scores."""

    def __init__(self, cell: str, width: int, depth: int, classes: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        gates = {"lstm": 4, "gru": 3}[cell] * width

        def weight(*shape: int) -> NDArray[np.float32]:
            return rng.uniform(-1, 1, shape).astype(np.float32) * np.float32(shape[-1] ** -0.5)

        self.cell, self.width, self.classes = cell, width, classes
        self.table = weight(classes + 1, width)
        self.layers = [
            (weight(gates, width), weight(gates, width), weight(gates), weight(gates))
            for _ in range(depth)
        ]
        self.readout, self.bias = 4 * weight(classes, width), weight(classes)

    def program(self) -> Any:
        """As the core takes it: one look, a layer's sums, the readout and the draw."""
        program = CORE.Program("sequence", 1, 0)
        x = program.buffer("x", 1, "sym", self.classes)
        below = program.buffer("e", self.width, "f32", 0)
        program.sum("site", [below], "none", None, [("look", self.table, (x, 0, -1))], [])
        for number, layer in enumerate(self.layers):
            add = self._add_lstm if self.cell == "lstm" else self._add_gru
            below = add(program, str(number), below, *layer)
        scores = program.buffer("scores", self.classes, "f32", 0)
        readout = [("mat", self.readout, (below, 0, 0))]
        program.sum("site", [scores], "none", self.bias, readout, [])
        program.draw("site", [x], "categorical", (scores, 0, 0))
        program.finish()
        return program

    def _add_lstm(self, program: Any, name: str, below: int, w: Any, u: Any, b: Any, d: Any) -> int:
        h = program.buffer("h" + name, self.width, "f32", 0)
        c = program.buffer("c" + name, self.width, "f32", 0)
        terms = [("mat", w, (below, 0, 0)), ("mat", u, (h, 0, -1))]
        program.sum("site", [h, c], "lstm", b + d, terms, [(c, 0, -1)])
        return h

    def _add_gru(self, program: Any, name: str, below: int, w: Any, u: Any, b: Any, d: Any) -> int:
        h = program.buffer("h" + name, self.width, "f32", 0)
        rec = program.buffer("rec" + name, 3 * self.width, "f32", 0)
        program.sum("site", [rec], "none", d, [("mat", u, (h, 0, -1))], [])
        terms = [("mat", w, (below, 0, 0))]
        program.sum("site", [h], "gru", b, terms, [(rec, 0, 0), (h, 0, -1)])
        return h

    def scores(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores (N, T, classes) of every site given the symbols before it, in float64."""
        n, length = values.shape
        before = np.concatenate([np.full((n, 1), self.classes), values[:, :-1]], 1)
        inputs = self.table.astype(np.float64)[before]
        for layer in self.layers:
            h = c = np.zeros((n, self.width))
            outputs = []
            for t in range(length):
                h, c = self._step(inputs[:, t], h, c, *(w.astype(np.float64) for w in layer))
                outputs.append(h)
            inputs = np.stack(outputs, 1)
        return inputs @ self.readout.T.astype(np.float64) + self.bias

    def _step(self, x: Any, h: Any, c: Any, w: Any, u: Any, b: Any, d: Any) -> tuple[Any, Any]:
        if self.cell == "lstm":
            i, f, g, o = np.split(x @ w.T + h @ u.T + b + d, 4, 1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        (r, z, n), (r2, z2, n2) = np.split(x @ w.T + b, 3, 1), np.split(h @ u.T + d, 3, 1)
        r, z = sigmoid(r + r2), sigmoid(z + z2)
        n = np.tanh(n + r * n2)
        return n + z * (h - n), c


class Run:
    """A session over a network, with arrays of its own bound to it."""

    def __init__(self, network: Network, uniforms: NDArray[np.float32], isa: str = "") -> None:
        n, length = uniforms.shape
        self.uniforms = np.ascontiguousarray(uniforms)[:, :, None]
        self.values = np.full((n, length, 1), -9, np.int64)
        self.forced = np.full((n, length, 1), -1, np.int64)
        self.scores = np.zeros((n, length, network.classes), np.float32)
        self.log_probs = np.zeros((n, length, 1), np.float32)
        self.session = CORE.Session(CORE.Executor(network.program(), isa), n)
        self.bind()

    def bind(self) -> None:
        arrays = self.uniforms, self.values, self.forced, self.scores, self.log_probs
        self.session.bind(*arrays)

    def options(self, temperature: Any, top_k: Any = 0, top_p: Any = 1) -> Run:
        """Each a number for all rows, or one a row."""
        n = len(self.values)
        dtypes = (temperature, np.float32), (top_k, np.int64), (top_p, np.float32)
        arrays = (np.broadcast_to(np.asarray(x, dtype), (n,)).copy() for x, dtype in dtypes)
        self.session.options(*arrays)
        return self

    def advance(self, first: int = 0, count: int | None = None, threads: int = 1) -> Run:
        count = self.values.shape[1] - first if count is None else count
        assert self.session.advance(first, count, threads) == count
        return self


@pytest.fixture(scope="session")
def network() -> type[Network]:
    return Network


@pytest.fixture(scope="session")
def run() -> type[Run]:
    return Run


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_240_611)
