"""Programs written by hand, as graphs: every epilogue and kind of term draws what NumPy draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genfast.exporting.sampler import build_sampler
from genfast.exporting.step import build_step
from genfast.program import Buffer, Draw, Program, Sum, interpret, symbol

CLASSES = 11
RNG = np.random.default_rng(3)


@pytest.mark.parametrize("optimized", [True, False])
def test_draws_what_the_interpreter_draws(
    opened: Any, columns: Any, written: Program, optimized: bool
) -> None:
    written = written.optimized() if optimized else written
    n, sites = 5, 24
    uniforms = (RNG.integers(0, 2**24, (n, sites)) * 2.0**-24).astype(np.float32)
    lengths = np.array([0, 1, 3, 5, 2])
    forced = np.where(
        np.arange(sites) < lengths[:, None], RNG.integers(CLASSES, size=(n, sites)), -1
    )
    expected = interpret(written, n, uniforms[..., None], forced[..., None])
    tokens = expected.values[..., 0]
    fed = columns(
        n, sites - lengths, prompt=forced[:, :5], prompt_length=lengths, uniforms=uniforms
    )
    del fed["seed"], fed["index"]
    values, ends = opened(build_sampler(written, uniforms=True))(**fed)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(values[row, : sites - length], tokens[row, length:])
    np.testing.assert_array_equal(ends[:, 0], sites - lengths)


def test_a_step_gives_the_interpreters_scores(opened: Any, written: Program) -> None:
    written = written.optimized()
    n, sites = 3, 12
    uniforms = (RNG.integers(0, 2**24, (n, sites)) * 2.0**-24).astype(np.float32)
    expected = interpret(written, n, uniforms[..., None])
    graph, states = build_step(written)
    run = opened(graph)
    carried = {s.name: np.zeros((n, s.border.shape[1]), np.float32) for s in states}
    last, ones = np.full((n, 1), CLASSES), np.ones((n, 1), np.float32)
    for t in range(sites):
        fed = {"symbol": last, "uniform": uniforms[:, t : t + 1], "temperature": ones}
        last, *after, scores = run(**fed, **carried)
        carried = dict(zip(carried, after, strict=True))
        np.testing.assert_array_equal(last, expected.values[:, t])
        np.testing.assert_allclose(scores, expected.scores[0][:, t], rtol=0, atol=3e-5)


def test_only_states_that_a_program_needs_are_carried(program: Any) -> None:
    window = [state.name for state in build_step(program("window").optimized())[1]]
    assert sorted(window) == ["e", "e_2", "y", "y_2", "y_3"]
    assert [state.name for state in build_step(program("lstm").optimized())[1]] == ["y", "c"]


def test_scores_that_read_no_state(opened: Any, columns: Any) -> None:
    """No loop over the prompt, and constants for every row."""
    x, params = symbol("x", CLASSES), Buffer("params", CLASSES)
    bias = RNG.normal(size=CLASSES).astype(np.float32)
    coin = Program("sequence", [Sum((params,), (), bias), Draw((x,), params.here)])
    uniforms = np.linspace(0, 0.999, 40, dtype=np.float32).reshape(2, 20)
    fed = columns(2, 20, uniforms=uniforms)
    del fed["seed"], fed["index"]
    values, _ = opened(build_sampler(coin.optimized(), uniforms=True))(**fed)
    np.testing.assert_array_equal(values, interpret(coin, 2, uniforms[..., None]).values[..., 0])
