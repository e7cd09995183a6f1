"""The interpreter against torch: same scores, and the same draws as rerunning the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from genfast.program import Buffer, Draw, Input, Look, Mat, Program, Sum, interpret, symbol


def naive_draw(case: Any, uniforms: Any) -> Any:
    """Reruns the whole network for every site, and inverts the distribution by its softmax."""
    values = torch.zeros(uniforms.shape[:2], dtype=torch.int64)
    for site in range(values.shape[1]):
        mass = case.scores(values)[:, site].softmax(-1).cumsum(-1)
        above = mass > torch.from_numpy(uniforms[:, site]).double()
        values[:, site] = above.int().argmax(-1)
    return values.numpy()[..., None]


@pytest.mark.parametrize("optimized", [False, True])
def test_draws_what_rerunning_the_network_draws(case: Any, uniforms: Any, optimized: bool) -> None:
    program = case.program.optimized() if optimized else case.program
    drawn = interpret(program, 3, uniforms, inputs=case.inputs)
    expected = naive_draw(case, uniforms)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(drawn.values, expected)


@pytest.mark.parametrize(
    ("optimized", "dtype", "tolerance"),
    [(False, np.float64, 1e-12), (True, np.float64, 2e-6), (True, np.float32, 2e-5)],
    ids=["exact", "folded tables are rounded", "float32"],
)
def test_scores_are_those_of_torch(
    case: Any, uniforms: Any, optimized: bool, dtype: Any, tolerance: float
) -> None:
    program = case.program.optimized() if optimized else case.program
    drawn = interpret(program, 3, uniforms, inputs=case.inputs, dtype=dtype)
    expected = case.scores(torch.from_numpy(drawn.values[..., 0])).numpy()
    (scores,) = drawn.scores
    assert scores.dtype == dtype
    np.testing.assert_allclose(scores, expected, rtol=0, atol=tolerance * abs(expected).max())


def test_forced_values_are_taken_and_own_their_uniforms(case: Any, uniforms: Any) -> None:
    free = interpret(case.program, 3, uniforms, inputs=case.inputs).values
    forced = np.where(np.arange(free.shape[1])[:, None] % 3 == 1, -1, free)
    uniforms[forced >= 0] = 0
    again = interpret(case.program, 3, uniforms, forced, case.inputs).values
    np.testing.assert_array_equal(again, free)


def coin(scores: Any) -> Program:
    """Draws from the same scores at every site."""
    x, params = symbol("x", len(scores)), Buffer("params", len(scores))
    bias = np.asarray(scores, np.float32)
    return Program("sequence", [Sum((params,), (), bias), Draw((x,), params.here)])


def test_options_are_per_row() -> None:
    uniforms = np.full((5, 2, 1), 0.999, np.float32)
    drawn = interpret(
        coin([3, 1, 2, 0]),
        5,
        uniforms,
        temperature=[1, 0, 1, 1, 1e-3],
        top_k=[0, 0, 2, 0, 0],
        top_p=[1, 1, 1, 0.7, 1],
    )
    np.testing.assert_array_equal(
        drawn.values[:, :, 0], [[3] * 2, [0] * 2, [2] * 2, [2] * 2, [0] * 2]
    )


def test_overflowing_scores_name_row_and_site() -> None:
    x, params, big = symbol("x", 2), Buffer("params", 2), Buffer("big", 2)
    table = np.array([[0, 0], [3e38, 0], [0, 0]], np.float32)
    program = Program(
        "sequence",
        [
            Sum((big,), (Look(table, x[0, -1]),)),
            Sum((params,), (Mat(np.eye(2, dtype=np.float32), big.here),), big_bias()),
            Draw((x,), params.here),
        ],
    )
    uniforms = np.array([[0.0, 0.0, 0.0], [0.0, 0.999, 0.0]], np.float32)[..., None]
    with (
        np.errstate(over="ignore"),
        pytest.raises(FloatingPointError, match=r"row 1, site 2: .*\+inf"),
    ):
        interpret(program, 2, uniforms)


def big_bias() -> Any:
    return np.array([1e38, 1e38], np.float32)


def conditioned(phase: Any) -> Program:
    """Scores are a table of a given symbol plus a given vector, one column ahead where it can."""
    given, vector = symbol("given", 3), Buffer("vector", 2)
    x, params = symbol("x", 2), Buffer("params", 2)
    ahead = (0, 1) if phase == "row" else (0, 0)
    table = np.array([[0, 9], [9, 0], [5, 5], [-7, 7]], np.float32)
    terms = (Look(table, given[ahead]), Mat(np.eye(2, dtype=np.float32), vector[ahead]))
    code = [
        Input(given, phase),
        Input(vector, phase),
        Sum((params,), terms),
        Draw((x,), params.here),
    ]
    return Program("sequence", code)


def test_inputs_from_the_start() -> None:
    inputs = {"given": np.array([0, 1]), "vector": np.array([[1, 2], [3, 4]], np.float32)}
    drawn = interpret(conditioned("start"), 2, np.zeros((2, 3, 1), np.float32), inputs=inputs)
    np.testing.assert_array_equal(drawn.scores[0], [[[1, 11]] * 3, [[12, 4]] * 3])


def test_inputs_ahead_of_the_row_show_the_border_past_their_end() -> None:
    inputs = {
        "given": np.array([[2, 0, 1]]),
        "vector": np.array([[[8, 8], [1, 2], [3, 4]]], np.float32),
    }
    drawn = interpret(conditioned("row"), 1, np.zeros((1, 3, 1), np.float32), inputs=inputs)
    np.testing.assert_array_equal(drawn.scores[0], [[[1, 11], [12, 4], [-7, 7]]])


U = np.zeros((2, 3, 1), np.float32)
VECTOR = np.zeros((2, 2), np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"uniforms": U[:1]}, r"uniforms must be float32 \(2, 3, 1\), got float32 \(1, 3, 1\)"),
        ({"uniforms": U.astype(np.float64)}, r"uniforms must be float32 \(2, 3, 1\), got float64"),
        (
            {"forced": np.zeros((2, 3), np.int64)},
            r"forced must be int64 \(2, 3, 1\), got int64 \(2, 3\)",
        ),
        ({"forced": np.full((2, 3, 1), 2)}, r"forced must be in \[-1, 1\], got 2 to 2"),
        ({"inputs": {}}, r"inputs must be \['given', 'vector'\], got \[\]"),
        (
            {"inputs": {"given": np.zeros(2, np.int64), "vector": VECTOR[:, :1]}},
            r"input vector must be float32 \(2, 2\), got float32 \(2, 1\)",
        ),
        (
            {"inputs": {"given": np.full(2, 4), "vector": VECTOR}},
            r"input given must be in \[0, 3\], got 4 to 4",
        ),
    ],
)
def test_arrays_that_do_not_fit(arguments: Any, message: str) -> None:
    given = {"inputs": {"given": np.zeros(2, np.int64), "vector": VECTOR}, "uniforms": U}
    with pytest.raises(ValueError, match=message):
        interpret(conditioned("start"), 2, **(given | arguments))
