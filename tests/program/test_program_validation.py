"""A program that cannot run is refused when it is built; the message names what and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from genfast.program import Add, Buffer, Draw, Input, Look, Mat, Program, Sum, symbol

V, H = 3, 2
x, e, h, c, rec = symbol("x", V), Buffer("e", H), Buffer("h", H), Buffer("c", H), Buffer("rec", 6)
params = Buffer("params", V)


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


EMBED = Sum((e,), (Look(zeros(V + 1, H), x[0, -1]),))
LSTM = Sum(
    (h, c), (Mat(zeros(8, H), e.here), Mat(zeros(8, H), h[0, -1])), zeros(8), "lstm", (c[0, -1],)
)
OUT = Sum((params,), (Mat(zeros(V, H), h.here),), zeros(V))
DRAW = Draw((x,), params.here)
GRU = [
    Sum((rec,), (Mat(zeros(6, H), h[0, -1]),)),
    Sum((h,), (Mat(zeros(6, H), e.here),), None, "gru", (rec.here, h[0, -1])),
]


def test_these_parts_are_a_program() -> None:
    assert Program("sequence", [EMBED, LSTM, OUT, DRAW]).draws == 1
    assert Program("sequence", [EMBED, *GRU, OUT, DRAW]).phases == ("site",) * 5


def with_term(term: Any) -> list[Any]:
    return [EMBED, LSTM, replace(OUT, terms=(Mat(zeros(V, H), h.here), term)), DRAW]


def with_lstm(**changes: Any) -> list[Any]:
    return [EMBED, replace(LSTM, **changes), OUT, DRAW]


def nan(array: Any) -> Any:
    array[-1] = np.nan
    return array


BAD_INSTRUCTIONS: dict[str, tuple[list[Any], str]] = {
    "no draw": ([EMBED, LSTM, OUT], "at least one Draw, got none"),
    "not an instruction": ([EMBED, LSTM, OUT, DRAW, 7], "Input, Sum or Draw, got int at place 4"),
    "not a term": (with_term(h.here), r"instruction 2 \(params\): terms must be .*, got Ref"),
    "two writers": (
        [EMBED, LSTM, OUT, DRAW, OUT],
        r"instruction 4 \(params\): params is written already by instruction 2 \(params\)",
    ),
    "one name, two buffers": (
        [EMBED, LSTM, OUT, DRAW, Sum((Buffer("e", 5),), (), zeros(5))],
        r"instruction 4 \(e\): e is the name of another buffer, written by instruction 0 \(e\)",
    ),
    "two targets of one name": (
        with_lstm(targets=(h, h)),
        r"instruction 1 \(h, h\): h is written already by instruction 1",
    ),
    "read, never written": (
        with_term(Add(Buffer("ghost", V).here)),
        r"instruction 2 \(params\): reads ghost, but no instruction writes ghost",
    ),
    "read as another buffer": (
        with_term(Mat(zeros(V, 9), Buffer("h", 9).here)),
        r"instruction 2 \(params\): reads h as f32\[9\], but h is written as f32\[2\]",
    ),
    "rows of a sequence": (
        with_term(Mat(zeros(V, H), h[-1, 0])),
        r"instruction 2 \(params\): a sequence has one row, got h\[-1,\+0\]",
    ),
    "width of a matrix": (
        with_term(Mat(zeros(V, H + 1), h.here)),
        r"instruction 2 \(params\): Mat weight for h must be a float32 array \(3, 2\), "
        r"got float32 \(3, 3\)",
    ),
    "rows of a matrix": (
        with_term(Mat(zeros(V + 2, H), h.here)),
        r"instruction 2 .*\(3, 2\), got float32 \(5, 2\)",
    ),
    "width of a table": (
        with_term(Look(zeros(V + 1, H), x[0, -1])),
        r"instruction 2 .*Look table for x\[\+0,-1\] must be a float32 array \(4, 3\), "
        r"got float32 \(4, 2\)",
    ),
    "table without a border": (
        with_term(Look(zeros(V, V), x[0, -1])),
        r"Look table .* \(4, 3\), got float32 \(3, 3\)",
    ),
    "matrix of a symbol": (
        with_term(Mat(zeros(V, 1), x[0, -1])),
        r"Mat input x\[\+0,-1\] must be f32\[1\], got sym\[3\]",
    ),
    "table of a vector": (
        with_term(Look(zeros(V + 1, V), h.here)),
        r"Look input h must be a symbol, got f32\[2\]",
    ),
    "width of an addend": (with_term(Add(h.here)), r"Add input h must be f32\[3\], got f32\[2\]"),
    "symbol added": (
        with_term(Add(x[0, -1])),
        r"Add input x\[\+0,-1\] must be f32\[3\], got sym\[3\]",
    ),
    "float64 weight": (
        with_term(Mat(np.zeros((V, H)), h.here)),  # type: ignore[arg-type]
        r"\(3, 2\), got float64 \(3, 2\)",
    ),
    "no array": (
        with_term(Mat([[0.0]], h.here)),  # type: ignore[arg-type]
        r"\(3, 2\), got list",
    ),
    "width of the bias": (
        with_lstm(bias=zeros(H)),
        r"instruction 1 \(h, c\): bias must be a float32 array \(8,\), got float32 \(2,\)",
    ),
    "empty sum": (
        [EMBED, replace(LSTM, terms=(), bias=None), OUT, DRAW],
        r"instruction 1 \(h, c\): a sum must have a term or a bias",
    ),
    "epilogue": (with_lstm(epilogue="softmax"), r"epilogue must be in \[.*\], got 'softmax'"),
    "targets": (with_lstm(targets=(h,)), r"lstm must have 2 targets, got 1"),
    "no targets": (with_lstm(targets=()), r"lstm must have 2 targets, got 0"),
    "widths of targets": (
        with_lstm(targets=(h, Buffer("d", 5))),
        r"target d must be f32\[2\], got f32\[5\]",
    ),
    "symbol summed": (
        [EMBED, LSTM, OUT, DRAW, Sum((symbol("s", 4),), (), zeros(1))],
        r"instruction 4 \(s\): target s must be f32\[1\], got sym\[4\]",
    ),
    "states": (with_lstm(states=()), r"lstm must have 1 states, got 0"),
    "states of a plain sum": (
        [EMBED, LSTM, replace(OUT, states=(c[0, -1],)), DRAW],
        r"none must have 0 states, got 1",
    ),
    "width of a state": (
        [EMBED, GRU[0], replace(GRU[1], states=(h[0, -1], rec.here)), OUT, DRAW],
        r"state h\[\+0,-1\] must be f32\[6\], got f32\[2\]",
    ),
    "head": (
        [EMBED, LSTM, OUT, replace(DRAW, head="gaussian")],
        r"instruction 3 \(x\): head must be in \['categorical', .*\], got 'gaussian'",
    ),
    "uniforms": ([EMBED, LSTM, OUT, replace(DRAW, draws=2)], r"uses 1 uniform, got 2"),
    "vector drawn": (
        [EMBED, LSTM, OUT, DRAW, Draw((Buffer("y", V),), params.here)],
        r"instruction 4 \(y\): target must be a symbol, got f32\[3\]",
    ),
    "scores": (
        [EMBED, LSTM, OUT, replace(DRAW, ref=h.here)],
        r"instruction 3 \(x\): scores h must be f32\[3\], got f32\[2\]",
    ),
    "scores elsewhere": (
        [EMBED, LSTM, OUT, replace(DRAW, ref=params[0, -1])],
        r"scores must be those of this site, got params\[\+0,-1\]",
    ),
    "phase of an input": (
        [Input(Buffer("given", 1), "site"), EMBED, LSTM, OUT, DRAW],  # type: ignore[arg-type]
        r"input given: phase must be 'start' or 'row', got 'site'",
    ),
    "NaN": (
        with_term(Mat(nan(zeros(V, H)), h.here)),
        r"instruction 2 \(params\): weights must be finite, got 2 NaN or infinite of the 6 in "
        r"float32 \(3, 2\)",
    ),
    "NaN in a bias": (with_lstm(bias=nan(zeros(8))), r"got 1 NaN or infinite of the 8"),
    "NaN in a table": (with_term(Look(nan(zeros(V + 1, V)), x[0, -1])), r"got 3 NaN"),
}


@pytest.mark.parametrize(("code", "message"), BAD_INSTRUCTIONS.values(), ids=BAD_INSTRUCTIONS)
def test_instructions(code: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match="^Program: .*" + message):
        Program("sequence", code)


@pytest.mark.parametrize(
    ("order", "shape", "message"),
    [
        ("spiral", None, r"order must be 'sequence' or 'raster', got 'spiral'"),
        ("sequence", (1, 4), r"shape must be None for a sequence, got \(1, 4\)"),
        ("raster", None, r"shape must be \(rows, columns\), .* got None"),
        ("raster", (4, 0), r"both at least 1, .* got \(4, 0\)"),
        ("raster", (4,), r"got \(4,\)"),
    ],
)
def test_orders(order: Any, shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Program(order, [EMBED, LSTM, OUT, DRAW], shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Buffer("h", 0), "width of 'h' must be at least 1, got 0"),
        (lambda: Buffer("h", 2, "sym", 4), "width of the symbol 'h' must be 1, got 2"),
        (lambda: Buffer("h", 1, "sym"), "vocabulary of 'h' must be positive"),
        (lambda: Buffer("h", 1, "f32", 4), "vocabulary of 'h' must be .* 0 for f32, got 4"),
        (lambda: Buffer("h", 1, "f16"), "must be 'f32' or 'sym', got 'f16'"),  # type: ignore[arg-type]
    ],
)
def test_buffers(make: Callable[[], Buffer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
