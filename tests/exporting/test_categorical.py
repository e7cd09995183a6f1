"""The categorical draw's nodes alone: the contract's class, its edges, exclusions, kept sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from genfast.exporting.categorical import choose, prepared
from genfast.exporting.categorical import opened as opened_uniform
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.program.categorical import categorical

# A triangle sums up to 256 classes, a running sum more.
CLASSES = [1, 2, 65, 127, 128, 129, 257, 4096]


@pytest.fixture
def draws(opened: Any) -> Callable[..., Any]:
    """Makes a function (scores, uniforms, temperatures, ...) -> int64 (N) by the graph."""

    def make(classes: int, top_k: Any = None, top_p: Any = None) -> Any:
        nodes = Nodes()
        kinds = {"scores": FLOAT, "temperature": FLOAT, "uniform": FLOAT}
        kinds |= {"top_k": INT64} if top_k == "input" else {}
        kinds |= {"top_p": FLOAT} if top_p == "input" else {}
        inputs = [
            value_info(nodes.fresh(name), kind, ["batch", classes if name == "scores" else 1])
            for name, kind in kinds.items()
        ]
        batch = nodes.add("Shape", "scores", start=0, end=1)
        uniform = opened_uniform(nodes, "uniform", "temperature")
        options = prepared(nodes, classes, batch, uniform, top_k, top_p)
        drawn = choose(nodes, "scores", classes, options)
        model = nodes.model("draw", inputs, [value_info(drawn, INT64, ["batch"])], "")
        graph = opened(model)

        def run(scores: Any, uniform: Any, temperature: Any = 1.0, **kept: Any) -> Any:
            n = len(scores)
            fed = {"uniform": uniform, "temperature": temperature, **kept}
            fed = {k: np.broadcast_to(np.asarray(v), n)[:, None] for k, v in fed.items()}
            fed = {k: v.astype(np.int64 if k == "top_k" else np.float32) for k, v in fed.items()}
            return graph(scores=scores.astype(np.float32), **fed)[0]

        return run

    return make


def lattice(rng: Any, n: int) -> Any:
    return (rng.integers(0, 2**24, n) * 2.0**-24).astype(np.float32)


def far_from_edges(scores: Any, uniform: Any) -> Any:
    """Rows whose uniform is not within rounding of an edge of the distribution."""
    weights = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    edges = weights.cumsum(-1) / weights.sum(-1, keepdims=True)
    return abs(edges - uniform[:, None]).min(-1) > 2e-6


@pytest.mark.parametrize("classes", CLASSES)
def test_is_the_class_of_the_contract(draws: Any, classes: int) -> None:
    rng = np.random.default_rng(classes)
    scores = rng.normal(size=(300, classes)).astype(np.float32) * 4
    uniform = lattice(rng, 300)
    sure = far_from_edges(scores, uniform)
    expected = [categorical(row, u) for row, u in zip(scores[sure], uniform[sure], strict=True)]
    assert sure.mean() > 0.9 or classes == 4096
    np.testing.assert_array_equal(draws(classes)(scores, uniform)[sure], expected)


@pytest.mark.parametrize("n", [1, 400])
@pytest.mark.parametrize("classes", CLASSES[1:])
def test_never_draws_an_excluded_class(draws: Any, classes: int, n: int) -> None:
    """Uniforms on the very edges, and at both ends, of distributions with holes everywhere."""
    rng = np.random.default_rng(classes)
    run = draws(classes)
    for share in (0.02, 0.5, 0.98):
        scores = rng.normal(size=(n, classes)).astype(np.float32) * 3
        excluded = rng.random((n, classes)) < share
        excluded[:, rng.integers(classes)] = False
        # Excluded outright, and by a weight that is 0 in float32.
        scores[excluded] = np.where(rng.random(excluded.sum()) < 0.5, -np.inf, -200)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        edges = weights.cumsum(-1) / weights.sum(-1, keepdims=True)
        rows, on_edge = np.arange(n), rng.integers(classes, size=n)
        edge = np.round(edges[rows, on_edge] * 2.0**24) * 2.0**-24
        for uniform in (edge.clip(0, 1 - 2.0**-24), 0.0, 2.0**-24, 1 - 2.0**-24, 1 - 2.0**-22):
            drawn = run(scores, uniform)
            assert not excluded[rows, drawn].any()


@pytest.mark.parametrize("classes", CLASSES[1:])
def test_ends_of_the_distribution(draws: Any, classes: int) -> None:
    """The first and the last class of any weight, behind and before excluded ones."""
    first = np.unique(np.linspace(0, classes - 2, 300).astype(int))
    scores = np.full((len(first), classes), -np.inf)
    for row, at in enumerate(first):
        scores[row, at : at + 2] = 0
    run = draws(classes)
    np.testing.assert_array_equal(run(scores, 0.0), first)
    np.testing.assert_array_equal(run(scores, 1 - 2.0**-24), first + 1)


@pytest.mark.parametrize("classes", CLASSES)
def test_temperature_0_is_the_lowest_of_the_best(draws: Any, classes: int) -> None:
    rng = np.random.default_rng(classes)
    scores = rng.integers(-6, 0, (200, classes)) * rng.choice([1e-6, 1.0, 1e10], (200, 1))
    scores = scores.astype(np.float32)
    neighbours = np.nextafter(scores, np.where(rng.random(scores.shape) < 0.5, -np.inf, 0))
    for values in (scores, neighbours.astype(np.float32)):
        drawn = draws(classes)(values, lattice(rng, 200), 0.0)
        np.testing.assert_array_equal(drawn, values.argmax(-1))


def test_temperatures_stand_beside_each_other(draws: Any) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(400, 30)).astype(np.float32)
    uniform, temperature = lattice(rng, 400), rng.choice([0, 0.01, 0.5, 1, 3], 400)
    divided = scores / np.where(temperature == 0, 1, temperature).astype(np.float32)[:, None]
    sure = far_from_edges(divided, uniform)
    rows = zip(scores, uniform, temperature, strict=True)
    expected = np.array([categorical(*row) for row in rows])
    drawn = draws(30)(scores, uniform, temperature)
    np.testing.assert_array_equal(drawn[sure], expected[sure])
    greedy = temperature == 0
    np.testing.assert_array_equal(drawn[greedy], expected[greedy])


@pytest.mark.parametrize("classes", [1, 2, 40, 300])
@pytest.mark.parametrize("kind", ["fixed", "input"])
def test_kept_sets(draws: Any, classes: int, kind: str) -> None:
    """Whole numbers as scores: ties at every edge, and masses far from the limit."""
    rng = np.random.default_rng(classes)
    n = 60
    scores = rng.integers(-2, 3, (n, classes)).astype(np.float32)
    uniform = lattice(rng, n)
    for k, p in ((1, None), (3, None), (None, 0.37), (7, 0.61), (1000, 1.0), (0, 1e-3)):
        if kind == "fixed":
            run, kept = draws(classes, k, p), {}
        else:
            run = draws(classes, "input", "input")
            kept = {"top_k": k or 0, "top_p": 1.0 if p is None else p}
        rows = zip(scores, uniform, strict=True)
        exact = [
            categorical(row.astype(np.float64), u, 1.0, k or 0, 1.0 if p is None else p)
            for row, u in rows
        ]
        assert (run(scores, uniform, **kept) == exact).mean() >= (n - 1) / n


def test_kept_sets_row_by_row(draws: Any) -> None:
    scores = np.tile(np.array([0.0, 3, 1, 3, 2]), (6, 1))
    run = draws(5, "input", "input")
    drawn = run(scores, 1 - 2.0**-24, top_k=[0, 1, 2, 3, 0, 5], top_p=[1, 1, 1, 1, 0.5, 1e-6])
    np.testing.assert_array_equal(drawn, [4, 1, 3, 4, 3, 1])
