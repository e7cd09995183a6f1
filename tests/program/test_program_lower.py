"""The flat program of the core draws what the interpreter draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genfast._extension import core
from genfast.program import Buffer, Draw, Look, Mat, Program, Sum, interpret, symbol


def run_core(program: Program, uniforms: Any) -> tuple[Any, Any]:
    """Values and scores of the compiled core, for programs without inputs."""
    batch, sites, draws = uniforms.shape
    (classes,) = (i.target.vocabulary for i in program.instructions if isinstance(i, Draw))
    session = core.Session(core.Executor(program.lower()), batch)
    values = np.full((batch, sites, draws), -1)
    scores = np.zeros((batch, sites, classes), np.float32)
    session.bind(uniforms, values, scores=scores)
    assert session.advance(0, sites, 1) == sites
    return values, scores


@pytest.mark.parametrize("case", ["lstm-2", "gru-2", "masked", "gated"], indirect=True)
def test_the_core_draws_what_the_interpreter_draws(case: Any, uniforms: Any) -> None:
    program = case.program.optimized()
    expected = interpret(program, len(uniforms), uniforms)
    values, scores = run_core(program, uniforms)
    np.testing.assert_array_equal(values, expected.values)
    scale = abs(expected.scores[0]).max()
    np.testing.assert_allclose(scores, expected.scores[0], rtol=0, atol=2e-5 * scale)


def test_the_core_counts_the_same_costs(case: Any) -> None:
    program = case.program.optimized()
    lowered = program.lower()
    assert lowered.weight_bytes == program.weight_bytes
    assert lowered.multiply_adds == program.multiply_adds


def test_site_code_that_reads_row_buffers_elsewhere_is_refused() -> None:
    x, above, out = symbol("x", 2), Buffer("above", 2), Buffer("out", 2)
    code = [
        Sum((above,), (Look(np.zeros((3, 2), np.float32), x[-1, 0]),)),
        Sum(
            (out,),
            (
                Mat(np.eye(2, dtype=np.float32), above[0, 1]),
                Look(np.zeros((3, 2), np.float32), x[0, -1]),
            ),
        ),
        Draw((x,), out.here),
    ]
    program = Program("raster", code, (3, 3))
    message = r"lower: instruction 1 \(out\): .* got above\[\+0,\+1\]; lower program.optimized\(\)"
    with pytest.raises(ValueError, match=message):
        program.lower()
    program.optimized().lower()


def test_weights_need_not_be_contiguous() -> None:
    x, out = symbol("x", 3), Buffer("out", 3)
    table = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32).T
    bias = np.arange(6, dtype=np.float32)[::2]
    program = Program(
        "sequence", [Sum((out,), (Look(table, x[0, -1]),), bias), Draw((x,), out.here)]
    )
    uniforms = np.random.default_rng(1).random((2, 9, 1)).astype(np.float32)
    values, scores = run_core(program, uniforms)
    expected = interpret(program, 2, uniforms)
    np.testing.assert_array_equal(values, expected.values)
    np.testing.assert_array_equal(scores, expected.scores[0])
