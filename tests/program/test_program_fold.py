"""Folding tables into matrices is exact at the edges of the image, and done where it pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genfast.program import Add, Buffer, Draw, Look, Mat, Program, Sum, interpret, symbol
from genfast.program.dead import drop_dead
from genfast.program.fold import CHEAP_BYTES, CHEAP_BYTES_OF_A_NUMBER, fold


def assert_same_draws(program: Program, folded: Program) -> None:
    """The same draws from scores within rounding."""
    uniforms = np.random.default_rng(6).random((2, 20, 1)).astype(np.float32)
    before, after = (interpret(p, 2, uniforms) for p in (program, folded))
    np.testing.assert_array_equal(before.values, after.values)
    tolerance = 1e-5 * abs(before.scores[0]).max()
    np.testing.assert_allclose(after.scores[0], before.scores[0], rtol=0, atol=tolerance)


def weights(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


V, H, E = 4, 3, 2
x, e, h, out = symbol("x", V), Buffer("e", E), Buffer("h", H), Buffer("out", V)


def embedding(inner: Any, outer: Any, *, border: bool, bias: Any = None) -> Program:
    """Scores of a pixel from e at one offset, which sees the symbol at another."""
    table = weights(1, V + 1, E)
    if not border:
        table[-1] = 0 if bias is None else -bias
    reader = Sum((h,), (Mat(weights(2, H, E), e[outer]), Look(weights(3, V + 1, H), x[0, -1])))
    draw = [Sum((out,), (Mat(weights(4, V, H), h.here),)), Draw((x,), out.here)]
    look = Sum((e,), (Look(table, x[inner]),), bias)
    code = [reader, *draw, look] if inner == (0, 0) else [look, reader, *draw]
    return Program("raster", code, (4, 5))


def folds(program: Program) -> bool:
    return not any(i.targets == (e,) for i in drop_dead(fold(program)).instructions)


@pytest.mark.parametrize("bias", [None, np.array([0.5, -2], np.float32)], ids=["", "bias"])
@pytest.mark.parametrize("border", [True, False], ids=["border row", "no border row"])
@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ((0, 0), (0, -1), "always"),
        ((0, 0), (-1, 2), "always"),
        ((0, -1), (0, 0), "always"),
        ((-1, 1), (0, 0), "always"),
        ((0, -1), (0, -2), "zero border"),
        ((-1, -1), (-1, 0), "zero border"),
        ((-1, 1), (-1, 1), "zero border"),
        ((-1, 1), (0, -1), "never"),
        ((-1, -1), (-1, 1), "never"),
    ],
)
def test_folding_through_offsets_is_exact_at_the_edges(
    inner: Any, outer: Any, expected: str, border: bool, bias: Any
) -> None:
    program = embedding(inner, outer, border=border, bias=bias)
    assert folds(program) == (expected == "always" or (expected == "zero border" and not border))
    assert_same_draws(program, drop_dead(fold(program)))


def language_model(
    also: tuple[Sum, ...] = (), term: Any = (), *, classes: int = V, width: int = H
) -> Program:
    """A recurrent sum over an embedding; `also` may read that, too, and `term` what they write."""
    x, h, out = symbol("x", classes), Buffer("h", width), Buffer("out", classes)
    code = [
        Sum((e,), (Look(weights(1, classes + 1, E), x[0, -1]),)),
        *also,
        Sum(
            (h,),
            (Mat(weights(2, width, E), e.here), Mat(weights(3, width, width), h[0, -1])),
            None,
            "tanh",
        ),
        Sum((out,), (Mat(weights(4, classes, width), h.here), *term)),
        Draw((x,), out.here),
    ]
    return Program("sequence", code)


def test_a_look_stays_for_readers_other_than_matrices() -> None:
    x2, y = Buffer("x2", V), Buffer("y", E)
    also = Sum((y,), (Add(e.here),), None, "relu"), Sum((x2,), (Mat(weights(5, V, E), y.here),))
    program = language_model(also, (Add(x2.here),))
    optimized = program.optimized()
    assert "e" in optimized.writers
    assert all(ref.buffer != e for ref in optimized.instructions[optimized.writers["h"]].refs)
    assert_same_draws(program, optimized)


@pytest.mark.parametrize(("classes", "folded"), [(1000, True), (1100, False)])
def test_large_tables_are_not_folded(classes: int, folded: bool) -> None:
    width = 256
    assert 1001 * width * 4 <= CHEAP_BYTES < 1101 * width * 4
    program = language_model(classes=classes, width=width).optimized()
    assert ("e" not in program.writers) == folded


@pytest.mark.parametrize(("classes", "folded"), [(120, True), (140, False)])
def test_tables_of_a_number_are_folded_only_while_they_are_small(
    classes: int, folded: bool
) -> None:
    """As pixels of many levels: a row of 256 floats a tap for one multiply-add an element."""
    width = 256
    assert 121 * width * 4 <= CHEAP_BYTES_OF_A_NUMBER < 141 * width * 4
    x, e, h, out = symbol("x", classes), Buffer("e", 1), Buffer("h", width), Buffer("out", classes)
    code = [
        Sum((h,), (Mat(weights(2, width, 1), e[0, -1]),), None, "tanh"),
        Sum((out,), (Mat(weights(4, classes, width), h.here),)),
        Draw((x,), out.here),
        Sum((e,), (Look(weights(1, classes + 1, 1), x.here),)),
    ]
    assert ("e" not in Program("raster", code, (4, 5)).optimized().writers) == folded


def test_an_epilogue_is_not_folded() -> None:
    program = language_model()
    first, *rest = program.instructions
    relu = Sum(first.targets, first.terms, None, "relu")  # type: ignore[union-attr, arg-type]
    assert "e" in Program("sequence", [relu, *rest]).optimized().writers
