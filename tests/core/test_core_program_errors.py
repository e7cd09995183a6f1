"""The core refuses a bad program when it is built, and names the instruction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

V, H = 5, 3


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


class Builder:
    """Buffers of every sort, and a complete program from them, one call an instruction."""

    def __init__(self, core: Any) -> None:
        self.program = core.Program("sequence", 1, 0)
        self.x = self.program.buffer("x", 1, "sym", V)
        self.h, self.c, self.rec, self.scores = (
            self.program.buffer(name, width, "f32", 0)
            for name, width in (("h", H), ("c", H), ("rec", 3 * H), ("scores", V))
        )

    def sum(self, targets: list[int], **given: Any) -> None:
        """`targets = bias`, with whatever a test gives instead."""
        parts = {
            "phase": "site",
            "epilogue": "none",
            "bias": None,
            "terms": [],
            "states": [],
        } | given
        self.program.sum(
            parts["phase"],
            targets,
            parts["epilogue"],
            parts["bias"],
            parts["terms"],
            parts["states"],
        )

    def finish(self) -> None:
        self.sum([self.scores], bias=zeros(V))
        self.program.draw("site", [self.x], "categorical", (self.scores, 0, 0))
        self.program.finish()


@pytest.fixture
def b(core: Any) -> Builder:
    return Builder(core)


def refuses(*words: str) -> Any:
    """A ValueError whose text has the words in this order."""
    return pytest.raises(ValueError, match=".*".join(words))


@pytest.mark.parametrize(
    ("order", "rows", "columns"),
    [("spiral", 1, 0), ("sequence", 2, 0), ("sequence", 1, 9), ("raster", 0, 4), ("raster", 4, 0)],
)
def test_order(core: Any, order: str, rows: int, columns: int) -> None:
    with refuses("Program|order"):
        core.Program(order, rows, columns)


@pytest.mark.parametrize(
    ("name", "width", "kind", "vocabulary"),
    [
        ("a", 0, "f32", 0),
        ("a", -1, "f32", 0),
        ("a", 3, "f32", 7),
        ("a", 2, "sym", 7),
        ("a", 1, "sym", 0),
        ("a", 1, "f64", 0),
        ("h", 3, "f32", 0),
    ],
)
def test_buffer(b: Builder, name: str, width: int, kind: str, vocabulary: int) -> None:
    with refuses(rf"\b{name}\b|kind"):
        b.program.buffer(name, width, kind, vocabulary)


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (("mat", zeros(H, H + 1), "h"), ("instruction 0", r"\(3, 3\)", r"\(3, 4\)")),
        (("mat", zeros(H, H).astype(np.float64), "h"), ("instruction 0", "float32", "float64")),
        (("mat", np.full((H, H), np.nan, np.float32), "h"), ("instruction 0", "finite", "nan")),
        (("mat", np.full((H, H), np.inf, np.float32), "h"), ("instruction 0", "finite", "inf")),
        (("mat", zeros(H, 1), "x"), ("instruction 0", "x")),
        (("mat", None, "h"), ("instruction 0",)),
        (("look", zeros(V, H), "x"), ("instruction 0", r"\(6, 3\)", r"\(5, 3\)")),
        (("look", zeros(V + 1, H), "h"), ("instruction 0", "h")),
        (("add", None, "rec"), ("instruction 0", "rec", "3", "9")),
        (("add", zeros(H), "c"), ("instruction 0",)),
        (("conv", zeros(H, H), "h"), ("conv",)),
    ],
)
def test_terms(b: Builder, term: tuple[str, Any, str], words: tuple[str, ...]) -> None:
    kind, weights, buffer = term
    with refuses(*words):
        b.sum([b.h], terms=[(kind, weights, (getattr(b, buffer), 0, -1))])


@pytest.mark.parametrize("ref", [(-1, 0, -1), (99, 0, -1), (1, -1, 0)])
def test_refs(b: Builder, ref: tuple[int, int, int]) -> None:
    with refuses("instruction 0"):
        b.sum([b.h], terms=[("add", None, ref)])


@pytest.mark.parametrize(
    ("epilogue", "targets", "states"),
    [
        ("lstm", ["h"], [("c", 0, -1)]),
        ("lstm", ["h", "c"], []),
        ("lstm", ["h", "c"], [("rec", 0, -1)]),
        ("gru", ["h"], [("h", 0, -1)]),
        ("gru", ["h"], [("c", 0, 0), ("h", 0, -1)]),
        ("relu", ["h", "c"], []),
        ("relu", ["h"], [("c", 0, -1)]),
        ("none", [], []),
        ("none", ["x"], []),
        ("softmax", ["h"], []),
    ],
)
def test_epilogues(b: Builder, epilogue: str, targets: list[str], states: list[Any]) -> None:
    with refuses("instruction 0|epilogue"):
        b.sum(
            [getattr(b, name) for name in targets],
            epilogue=epilogue,
            states=[(getattr(b, name), dy, dx) for name, dy, dx in states],
        )


def test_bias_shape(b: Builder) -> None:
    with refuses("instruction 0", "bias", r"\(12,\)", r"\(3,\)"):
        b.sum([b.h, b.c], epilogue="lstm", bias=zeros(H), states=[(b.c, 0, -1)])


def test_written_twice(b: Builder) -> None:
    b.sum([b.h], bias=zeros(H))
    with refuses("instruction 1", "h"):
        b.sum([b.h], bias=zeros(H))


@pytest.mark.parametrize(("dx", "refused"), [(-1, False), (0, True), (1, True)])
def test_reading_itself_and_the_future(b: Builder, dx: int, refused: bool) -> None:
    b.sum([b.h], terms=[("add", None, (b.h, 0, dx))])
    for unused, width in ((b.c, H), (b.rec, 3 * H)):
        b.sum([unused], bias=zeros(width))
    if not refused:
        b.finish()
        return
    with refuses("instruction 0", "h"):
        b.finish()


def test_dangling_buffer(b: Builder) -> None:
    b.sum([b.h], terms=[("add", None, (b.c, 0, -1))])
    with refuses("c", "nothing writes"):
        b.finish()


def test_draw_needs_a_score_a_class(b: Builder) -> None:
    b.sum([b.h], bias=zeros(H))
    with refuses("instruction 1", "5", "3"):
        b.program.draw("site", [b.x], "categorical", (b.h, 0, 0))


@pytest.mark.parametrize(("target", "head"), [("h", "categorical"), ("x", "gaussian")])
def test_draw(b: Builder, target: str, head: str) -> None:
    with refuses(f"{target}|{head}"):
        b.program.draw("site", [getattr(b, target)], head, (b.scores, 0, 0))


def test_nothing_drawn(core: Any) -> None:
    program = core.Program("sequence", 1, 0)
    h = program.buffer("h", H, "f32", 0)
    program.sum("site", [h], "none", zeros(H), [], [])
    with refuses("draws nothing"):
        program.finish()


def test_unfinished_program_has_no_executor(core: Any, b: Builder) -> None:
    with refuses("finish"):
        core.Executor(b.program)


def test_finished_program_cannot_change(core: Any) -> None:
    program = core.Program("sequence", 1, 0)
    x, scores = program.buffer("x", 1, "sym", V), program.buffer("scores", V, "f32", 0)
    program.sum("site", [scores], "none", zeros(V), [], [])
    program.draw("site", [x], "categorical", (scores, 0, 0))
    program.finish()
    with refuses("finished"):
        program.buffer("late", 1, "f32", 0)


def test_unknown_isa(core: Any, network: Any) -> None:
    with refuses("v9"):
        core.Executor(network("lstm", 2, 1, 3, 0).program(), "v9")
