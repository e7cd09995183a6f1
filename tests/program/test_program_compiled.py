"""Hand-written image programs in the core, against the interpreter and against torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from genfast._extension import core
from genfast.program import Program, interpret

SHAPES = [(1, 1), (1, 7), (5, 1), (9, 7)]


def words(n: int, sites: int) -> Any:
    numbers = np.random.default_rng(11).integers(0, 1 << 24, (n, sites, 1))
    return (numbers * 2.0**-24).astype(np.float32)


def run_core(program: Program, case: Any, uniforms: Any, isa: str, threads: int) -> Any:
    """Values and scores of the compiled core."""
    n, sites, _ = uniforms.shape
    session = core.Session(core.Executor(program.lower(), isa), n)
    names = [buffer.name for buffer in program.buffers]
    for name, value in case.inputs.items():
        session.input(names.index(name), np.ascontiguousarray(value[:n]))
    values = np.full((n, sites, 1), -9)
    (classes,) = (b.vocabulary for b in program.buffers if b.name == "x")
    scores = np.zeros((n, sites, 1, classes), np.float32)
    session.bind(uniforms, values, scores=scores)
    assert session.advance(0, sites, threads) == sites
    return values, scores[:, :, 0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [1, 5, 17])
@pytest.mark.parametrize("kind", ["masked", "gated", "classes"])
def test_the_core_draws_what_the_interpreter_draws(
    build: dict[str, Callable[..., Any]], kind: str, shape: tuple[int, int], width: int
) -> None:
    """Every instruction set: the interpreter's values, torch's scores within rounding."""
    n = 5
    if kind == "masked":
        case = build["masked"](shape, h=width)
    else:
        case = build["gated"](n, shape, h=width, classes=3 if kind == "classes" else 0)
    program, uniforms = case.program.optimized(), words(n, shape[0] * shape[1])
    expected = interpret(program, n, uniforms, inputs=case.inputs)
    for isa in core.isas():
        values, scores = run_core(program, case, uniforms, isa, 1)
        np.testing.assert_array_equal(values, expected.values)
        truth = case.scores(torch.from_numpy(values[..., 0])).numpy()
        np.testing.assert_allclose(scores, truth, rtol=0, atol=2e-5 * max(1, abs(truth).max()))
        for threads in (2, 3):
            again = run_core(program, case, uniforms, isa, threads)
            np.testing.assert_array_equal(again[0], values)
            np.testing.assert_array_equal(again[1], scores)
