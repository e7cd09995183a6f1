"""Phases are inferred, and what nothing has written yet cannot be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genfast.program import Add, Buffer, Draw, Input, Look, Program, Sum, symbol

TABLE = np.zeros((3, 2), np.float32)
x, a, b, c = symbol("x", 2), Buffer("a", 2), Buffer("b", 2), Buffer("c", 2)
RASTER: Any = ("raster", (4, 5))
SEQUENCE: Any = ("sequence", None)


def look(target: Buffer, *ref: int) -> Sum:
    return Sum((target,), (Look(TABLE, x[ref]),))


def copy(target: Buffer, *refs: Any) -> Sum:
    return Sum((target,), tuple(Add(ref) for ref in refs))


def phases(order: Any, *code: Any) -> str:
    """First letters of the phases, in the order of the list."""
    name, shape = order
    return "".join(phase[1] for phase in Program(name, code, shape).phases)


def draw(ref: Any = a.here) -> Draw:
    return Draw((x,), ref)


@pytest.mark.parametrize(
    ("order", "code", "expected"),
    [
        pytest.param(RASTER, [look(a, -1, 1), draw()], "oi", id="the row above is known"),
        pytest.param(RASTER, [look(a, 0, -1), draw()], "ii", id="the column before is not"),
        pytest.param(SEQUENCE, [look(a, 0, -1), draw()], "ii", id="nor in a sequence"),
        pytest.param(RASTER, [copy(a, a[-1, 0]), draw()], "oi", id="itself, a row up"),
        pytest.param(RASTER, [copy(a, a[0, -1]), draw()], "ii", id="itself, a column back"),
        pytest.param(
            RASTER, [look(a, -1, 0), copy(b, a[0, 1]), draw(b.here)], "ooi", id="ahead in the row"
        ),
        pytest.param(
            RASTER, [copy(b, a[0, -1]), look(a, -1, 0), draw(b.here)], "ioi", id="written later"
        ),
        pytest.param(
            RASTER,
            [look(a, -1, 0), copy(b, a.here, c[0, -1]), copy(c, b.here), draw(b.here)],
            "oiii",
            id="a loop along the row",
        ),
        pytest.param(
            RASTER,
            [look(a, -1, 0), copy(b, a.here, c[-1, 0]), copy(c, b[0, 1]), draw(b.here)],
            "oooi",
            id="a loop over the rows",
        ),
        pytest.param(
            RASTER, [draw(), look(b, 0, 0), copy(a, b[0, -1])][::-1], None, id="scores come first"
        ),
        pytest.param(
            RASTER,
            [copy(a, b[-1, 1], b[0, -1]), draw(), look(b, 0, 0)],
            "iii",
            id="drawn symbol after its draw",
        ),
        pytest.param(
            SEQUENCE,
            [Sum((a,), (), np.zeros(2, np.float32)), copy(b, a.here), draw(b.here)],
            "tti",
            id="constants",
        ),
        pytest.param(
            SEQUENCE,
            [Input(c, "row"), copy(a, c[0, 2], c[0, -2]), draw()],
            "ooi",
            id="conditions ahead of the row",
        ),
    ],
)
def test_phases(order: Any, code: Any, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="future"):
            phases(order, *code)
    else:
        assert phases(order, *code) == expected


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ([look(a, 0, 0), draw()], r"instruction 0 reads the future: x\[\+0,\+0\]"),
        ([look(a, 0, 1), draw()], r"instruction 0 reads the future: x\[\+0,\+1\]"),
        ([look(a, 1, -3), draw()], r"instruction 0 reads the future: x\[\+1,-3\]"),
        (
            [look(a, 0, -1), copy(b, a[0, 1]), draw(b.here)],
            r"instruction 1 reads the future: a\[\+0,\+1\]",
        ),
        (
            [Input(c), look(a, -1, 0), draw(b.here), copy(b, a.here)],
            r"instruction 1 reads the future: b\[\+0,\+0\]",
        ),
        (
            [copy(a, b[0, 1]), look(b, -1, 0), draw()],
            r"instruction 0 reads the future: b\[\+0,\+1\]",
        ),
        ([Input(c, "row"), copy(a, c[1, 0]), draw()], r"instruction 0 reads the future: c\[\+1"),
        ([Input(c), copy(a, c[0, -1]), draw()], r"instruction 0 reads c\[\+0,-1\]: .* no position"),
        ([Input(c), copy(a, c[-1, 0]), draw()], r"instruction 0 reads c\[-1,\+0\]: .* no position"),
    ],
)
def test_causality(code: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Program("raster", code, (4, 5))
