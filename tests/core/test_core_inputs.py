"""Inputs known ahead of a row, and scores of several draws a site."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from raster_programs import Drawing, Image


def features_of(net: Image, n: int = 17) -> Any:
    sites = net.shape[0] * net.shape[1]
    values = np.random.default_rng(3).standard_normal((n, sites, net.features))
    return values.astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (9, 7)])
@pytest.mark.parametrize("width", [1, 16, 19])
def test_raster_scores(core: Any, isa: str, shape: tuple[int, int], width: int) -> None:
    """2e-5 of the scores' scale: float32 chains against float64."""
    net = Image(core, shape, 5, features=width)
    done = Drawing(net, 3, isa, features_of(net)).advance()
    expected = net.scores(done.values, features_of(net, 17)[:3])
    assert np.abs(done.scores - expected).max() <= 2e-5 * max(1, np.abs(expected).max())


def test_raster_same_bits(core: Any, isa: str) -> None:
    net = Image(core, (6, 24), 5, features=3)
    features = features_of(net)
    whole = Drawing(net, 17, isa, features).advance()
    for n in (1, 2, 17):
        for threads in (1, 2, 3):
            assert Drawing(net, n, isa, features).advance(threads).same(whole)
            chunks = (1, 30, 2, 9, 60)
            assert Drawing(net, n, isa, features).advance(threads, chunks).same(whole)


def test_raster_row_by_row(core: Any) -> None:
    """Bound columns may be a row at a time; a row that begins must lie in them whole."""
    net = Image(core, (5, 7), 5, features=3)
    features = features_of(net)
    whole = Drawing(net, 3, features=features).advance()
    session = core.Session(core.Executor(net.program()), 3)
    for row in range(5):
        at = slice(7 * row, 7 * row + 7)
        values, u = np.zeros((3, 7, 1), np.int64), np.ascontiguousarray(whole.uniforms[:, at])
        session.bind(u, values, inputs={net.input: features[:3, at].copy()})
        for x in range(7):
            session.advance(x, 1, 2)
        assert np.array_equal(values, whole.values[:, at])
    session = core.Session(core.Executor(net.program()), 3)
    session.bind(u[:, :6].copy(), values[:, :6].copy(), inputs={net.input: features[:3, :6].copy()})
    with pytest.raises(ValueError, match=r"row of 7 sites .* 6 bound columns"):
        session.advance(0, 1, 1)


class Sequence:
    """h = tanh(W h[-1] + F given + G given[-2]), scores = R h."""

    def __init__(self, core: Any, width: int) -> None:
        rng = np.random.default_rng(4)
        self.weights = [
            (rng.standard_normal(shape) / shape[1] ** 0.5).astype(np.float32)
            for shape in ((width, width), (width, 3), (width, 3), (5, width))
        ]
        w, f, g, r = self.weights
        p = core.Program("sequence", 1, 0)
        x, self.given = p.buffer("x", 1, "sym", 5), p.buffer("given", 3, "f32", 0)
        h, scores = p.buffer("h", width, "f32", 0), p.buffer("scores", 5, "f32", 0)
        p.input(self.given, "row")
        terms = [("mat", w, (h, 0, -1)), ("mat", f, (self.given, 0, 0))]
        p.sum("site", [h], "tanh", None, [*terms, ("mat", g, (self.given, 0, -2))], [])
        p.sum("site", [scores], "none", None, [("mat", r, (h, 0, 0))], [])
        p.draw("site", [x], "categorical", (scores, 0, 0))
        p.finish()
        self.core, self.executor = core, core.Executor(p)

    def draw(self, given: Any, threads: int, chunk: int) -> tuple[Any, Any]:
        """Values and scores, the arrays bound anew for every `chunk` sites."""
        n, length, _ = given.shape
        session, found = self.core.Session(self.executor, n), []
        for at in range(0, length, chunk):
            part = np.ascontiguousarray(given[:, at : at + chunk])
            count = part.shape[1]
            values, scores = np.zeros((n, count, 1), np.int64), np.zeros((n, count, 5), np.float32)
            u = np.full((n, count, 1), 0.5, np.float32)
            session.bind(u, values, scores=scores, inputs={self.given: part})
            session.advance(0, count, threads)
            found.append((values, scores))
        return tuple(np.concatenate(arrays, 1) for arrays in zip(*found, strict=True))  # type: ignore[return-value]

    def scores(self, given: Any) -> Any:
        w, f, g, r = (weight.astype(np.float64) for weight in self.weights)
        padded = np.pad(given.astype(np.float64), ((0, 0), (2, 0), (0, 0)))
        h, found = np.zeros((len(given), len(w))), []
        for t in range(given.shape[1]):
            h = np.tanh(h @ w.T + padded[:, t + 2] @ f.T + padded[:, t] @ g.T)
            found.append(h @ r.T)
        return np.stack(found, 1)


@pytest.mark.parametrize(("width", "n"), [(5, 1), (17, 5), (520, 1), (520, 3)])
def test_sequence(core: Any, rng: Any, width: int, n: int) -> None:
    """At a width of 520 threads split the units, and one of them copies for all."""
    net, given = Sequence(core, width), rng.standard_normal((n, 12, 3)).astype(np.float32)
    values, scores = net.draw(given, 1, 12)
    expected = net.scores(given)
    assert np.abs(scores - expected).max() <= 2e-5 * np.abs(expected).max()
    for threads in (1, 2, 3):
        for chunk in (12, 5, 1):
            again = net.draw(given, threads, chunk)
            assert np.array_equal(again[0], values)
            assert np.array_equal(again[1], scores)


def test_inputs_are_checked(core: Any) -> None:
    net = Image(core, (5, 7), 5, features=3)
    done = Drawing(net, 2, features=features_of(net))
    for wrong in (
        {net.input: np.zeros((2, 35, 4), np.float32)},
        {net.input: np.zeros((2, 34, 3), np.float32)},
        {net.input: np.zeros((2, 35, 3), np.float64)},
        {0: np.zeros((2, 35, 3), np.float32)},
        {-1: np.zeros((2, 35, 3), np.float32)},
        {999: np.zeros((2, 35, 3), np.float32)},
    ):
        done.inputs = wrong
        with pytest.raises(ValueError, match="inputs"):
            done.bind()
    done.inputs = {}
    done.bind()
    with pytest.raises(ValueError, match="bind the input features first"):
        done.advance()


def test_symbols_ahead_of_a_row_are_refused(core: Any) -> None:
    p = core.Program("raster", 2, 2)
    x, given, scores = (p.buffer(n, w, k, v) for n, w, k, v in (
        ("x", 1, "sym", 2), ("given", 1, "sym", 2), ("scores", 2, "f32", 0)))  # fmt: skip
    p.input(given, "row")
    table = np.zeros((3, 2), np.float32)
    p.sum("site", [scores], "none", None, [("look", table, (given, 0, 0))], [])
    p.draw("site", [x], "categorical", (scores, 0, 0))
    p.finish()
    with pytest.raises(ValueError, match="given, known ahead of each row, must be f32"):
        core.Executor(p)


def test_a_sequence_cannot_look_ahead(core: Any) -> None:
    p = core.Program("sequence", 1, 0)
    x, given = p.buffer("x", 1, "sym", 2), p.buffer("given", 2, "f32", 0)
    scores = p.buffer("scores", 2, "f32", 0)
    p.input(given, "row")
    p.sum("row", [scores], "none", None, [("add", None, (given, 0, 1))], [])
    p.draw("site", [x], "categorical", (scores, 0, 0))
    p.finish()
    with pytest.raises(ValueError, match=r"look ahead of its site, got given\[\+0,\+1\]"):
        core.Executor(p)


def test_scores_of_several_draws_have_an_axis_of_them(core: Any) -> None:
    net = Image(core, (2, 3), 5, channels=2)
    done = Drawing(net, 2)
    done.scores = np.zeros((2, 6, 3), np.float32)
    with pytest.raises(ValueError, match=r"scores must be float32 \(2, 6, 2, 3\)"):
        done.bind()
    one = Drawing(Image(core, (2, 3), 5), 2).advance()
    flat = Drawing(one.net, 2)
    flat.scores = np.zeros((2, 6, 3), np.float32)
    flat.bind()
    flat.advance()
    assert np.array_equal(flat.scores, one.scores[:, :, 0])


def test_scores_of_draws_of_differing_classes_are_refused(core: Any) -> None:
    p = core.Program("raster", 1, 2)
    for classes in (2, 3):
        x = p.buffer(f"x{classes}", 1, "sym", classes)
        scores = p.buffer(f"scores{classes}", classes, "f32", 0)
        p.sum("site", [scores], "none", np.zeros(classes, np.float32), [], [])
        p.draw("site", [x], "categorical", (scores, 0, 0))
    p.finish()
    session = core.Session(core.Executor(p), 1)
    u, values = np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.int64)
    session.bind(u, values)
    with pytest.raises(ValueError, match="as many parameters each, got 2 and 3"):
        session.bind(u, values, scores=np.zeros((1, 2, 2, 3), np.float32))
