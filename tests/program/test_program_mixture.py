"""Pixels of several channels in one draw: as a program, interpreted, and in the compiled core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genfast._extension import core
from genfast.compiled import NotCompilableError
from genfast.exporting import export
from genfast.heads import Categorical, DrawOptions, LogisticMixture
from genfast.models import SequenceModel
from genfast.program import (
    Buffer,
    Draw,
    Instruction,
    Look,
    Mat,
    Program,
    Sum,
    interpret,
    symbol,
)

Array = NDArray[Any]
HEAD = LogisticMixture(16, 3, 3)
SHAPE = (4, 5)


class Model:
    """A small masked network over RGB pixels, its program, and its parameters by NumPy alone."""

    def __init__(self, head: LogisticMixture, shape: tuple[int, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.head, self.shape, self.hidden = head, shape, 9
        levels = 2 * np.arange(head.levels) / (head.levels - 1) - 1
        self.values = np.append(levels, 0.0).astype(np.float32)
        # Offsets of pixels that the network sees, and the weights of each.
        self.taps = {
            offset: rng.standard_normal((self.hidden, head.channels)).astype(np.float32)
            for offset in ((-1, -1), (-1, 0), (-1, 1), (0, -1))
        }
        self.readout = rng.standard_normal((head.parameters, self.hidden)).astype(np.float32)
        self.bias = rng.standard_normal(head.parameters).astype(np.float32)

    def program(self) -> Program:
        channels = self.head.channels
        x = [symbol(f"x{c}", self.head.levels) for c in range(channels)]
        pixel, h = Buffer("pixel", channels), Buffer("h", self.hidden)
        params = Buffer("params", self.head.parameters)
        looks = [
            Look(np.outer(self.values, np.eye(channels)[c]).astype(np.float32), one.here)
            for c, one in enumerate(x)
        ]
        mats = [Mat(weight, pixel[offset]) for offset, weight in self.taps.items()]
        code: list[Instruction] = [
            Sum((h,), tuple(mats), None, "tanh"),
            Sum((params,), (Mat(self.readout, h.here),), self.bias),
            Draw(tuple(x), params.here, "logistic_mixture", 1 + channels),
            Sum((pixel,), tuple(looks)),
        ]
        return Program("raster", code, self.shape)

    def scores(self, values: Array) -> Array:
        """(N, sites, P) in float64."""
        n, (rows, columns) = len(values), self.shape
        grid = np.zeros((n, rows + 1, columns + 2, self.head.channels))
        reals = self.values.astype(np.float64)[values]
        grid[:, 1:, 1:-1] = reals.reshape(n, rows, columns, -1)
        a = sum(
            grid[:, 1 + dy : rows + 1 + dy, 1 + dx : columns + 1 + dx] @ weight.T
            for (dy, dx), weight in self.taps.items()
        )
        return (np.tanh(a) @ self.readout.T + self.bias).reshape(n, rows * columns, -1)


def lattice(model: Model, n: int, seed: int) -> Array:
    sites = model.shape[0] * model.shape[1]
    words = np.random.default_rng(seed).integers(1 << 24, size=(n, sites, model.head.draws))
    return (words * 2.0**-24).astype(np.float32)


def share_right(model: Model, values: Array, uniforms: Array, temperature: float) -> float:
    """Share of pixels that the head's own judge finds right."""
    exact = torch.from_numpy(model.scores(values)).flatten(0, 1)
    pixels, u = (torch.from_numpy(array).flatten(0, 1) for array in (values, uniforms))
    m = len(pixels)
    given = DrawOptions(torch.full((m,), temperature), torch.zeros(m).long(), torch.ones(m))
    right, eps = model.head.judge(exact, exact.float(), pixels, u, given)
    assert (eps < 1e-3).all()
    return float(right.double().mean())


def draw_in_core(
    program: Program, uniforms: Array, temperature: float = 1.0
) -> tuple[Array, Array]:
    n, sites = uniforms.shape[:2]
    session = core.Session(core.Executor(program.optimized().lower()), n)
    session.options(
        *DrawOptions(torch.full((n,), temperature), torch.zeros(n).long(), torch.ones(n))
    )
    values = np.full((n, sites, program.values), -9)
    width = next(i.ref.buffer.width for i in program.instructions if isinstance(i, Draw))
    scores = np.zeros((n, sites, 1, width), np.float32)
    session.bind(uniforms, values, None, scores)
    session.advance(0, sites, 2)
    return values, scores[:, :, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (4, 5)])
@pytest.mark.parametrize("temperature", [0.0, 0.8, 1.0])
@pytest.mark.parametrize(
    "head", [HEAD, LogisticMixture(2, 1, 1), LogisticMixture(256, 10, 2)], ids=repr
)
def test_interpreter_and_core_draw_what_the_head_says(
    head: LogisticMixture, shape: tuple[int, int], temperature: float
) -> None:
    model = Model(head, shape, seed=1)
    program, u = model.program(), lattice(model, 5, seed=2)
    drawn = interpret(program, 5, u, temperature=temperature)
    values, scores = draw_in_core(program, u, temperature)
    for one, its in ((drawn.values, drawn.scores[0]), (values, scores)):
        assert np.abs(its - model.scores(one)).max() < 2e-5 * np.abs(its).max()
        assert share_right(model, one, u, temperature) == 1
    assert (values == drawn.values).all(-1).mean() > 0.99


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_interpreter_draws_what_the_reference_draws(dtype: Any) -> None:
    """The same parameters and uniforms through the torch head."""
    model = Model(HEAD, SHAPE, seed=3)
    u = lattice(model, 20, seed=4)
    drawn = interpret(model.program(), 20, u, dtype=dtype)
    parameters = torch.from_numpy(drawn.scores[0]).flatten(0, 1)
    m = len(parameters)
    given = DrawOptions(torch.ones(m), torch.zeros(m).long(), torch.ones(m))
    expected = HEAD.draw(parameters, torch.from_numpy(u).flatten(0, 1), given)
    same = (drawn.values.reshape(m, 3) == expected.numpy()).all(-1)
    assert same.all() if dtype == np.float64 else same.mean() > 0.995


def test_another_draw_is_found_out() -> None:
    model = Model(HEAD, SHAPE, seed=5)
    u = lattice(model, 20, seed=6)
    values = interpret(model.program(), 20, u).values
    assert share_right(model, values, u, 1.0) == 1
    assert share_right(model, values, np.roll(u, 1, -1), 1.0) < 0.3
    assert share_right(model, values[..., ::-1].copy(), u, 1.0) < 0.3


def test_options_are_per_row() -> None:
    model = Model(HEAD, SHAPE, seed=7)
    u = lattice(model, 2, seed=8)
    mixed = interpret(model.program(), 2, u, temperature=[1.0, 0.0]).values
    for row, temperature in enumerate((1.0, 0.0)):
        alone = interpret(model.program(), 1, u[row : row + 1], temperature=temperature)
        np.testing.assert_array_equal(alone.values[0], mixed[row])


def test_forced_pixels_own_their_draws() -> None:
    model = Model(HEAD, SHAPE, seed=9)
    u = lattice(model, 3, seed=10)
    free = interpret(model.program(), 3, u).values
    forced = free.copy()
    forced[:, ::3] = -1
    u[:, 1::3], u[:, 2::3] = 0, 0.5
    np.testing.assert_array_equal(interpret(model.program(), 3, u, forced).values, free)


def test_forced_in_part() -> None:
    model = Model(HEAD, SHAPE, seed=9)
    forced = np.full((3, 20, 3), -1)
    forced[1, 7, 2] = 4
    with pytest.raises(ValueError, match=r"all values of a draw or none, .* row 1 at site 7"):
        interpret(model.program(), 3, lattice(model, 3, seed=10), forced)


@pytest.mark.parametrize("kept", [{"top_k": 2}, {"top_p": 0.9}])
def test_top_k_and_top_p_are_refused(kept: Any) -> None:
    model = Model(HEAD, SHAPE, seed=9)
    with pytest.raises(ValueError, match="top_k and top_p must be off for a logistic_mixture"):
        interpret(model.program(), 3, lattice(model, 3, seed=10), **kept)


def test_overflowing_parameters_name_row_and_site() -> None:
    x, big, params = symbol("x", 2), Buffer("big", 1), Buffer("params", 3)
    table, weight = np.array([[0], [3e38], [0]], np.float32), np.full((3, 1), 10, np.float32)
    code = [
        Sum((big,), (Look(table, x[0, -1]),)),
        Sum((params,), (Mat(weight, big.here),)),
        Draw((x,), params.here, "logistic_mixture", 2),
    ]
    forced = np.array([[0, 0, -1], [0, 1, -1]])[..., None]
    uniforms = np.zeros((2, 3, 2), np.float32)
    with (
        np.errstate(over="ignore"),
        pytest.raises(FloatingPointError, match=r"draw x: row 1, site 2: .* NaN or an infinity"),
    ):
        interpret(Program("sequence", code), 2, uniforms, forced)


def test_draws_of_several_heads_in_one_program() -> None:
    """A class, then a pixel that sees it: each has its own uniforms and values, in order."""
    kind, x = symbol("kind", 5), (symbol("x0", 8), symbol("x1", 8))
    rng = np.random.default_rng(11)
    scores, params = Buffer("scores", 5), Buffer("params", 12)
    tables = [rng.standard_normal(shape).astype(np.float32) for shape in ((9, 5), (6, 12))]
    code = [
        Sum((scores,), (Look(tables[0], x[1][0, -1]),)),
        Draw((kind,), scores.here),
        Sum((params,), (Look(tables[1], kind.here),)),
        Draw(x, params.here, "logistic_mixture", 3),
    ]
    program = Program("sequence", code)
    assert (program.draws, program.values) == (4, 3)
    u = (rng.integers(1 << 24, size=(4, 50, 4)) * 2.0**-24).astype(np.float32)
    expected = interpret(program, 4, u).values
    session, values = core.Session(core.Executor(program.lower()), 4), np.zeros((4, 50, 3), int)
    log_probs = np.zeros((4, 50, 2), np.float32)
    session.bind(u, values, None, None, log_probs)
    session.advance(0, 50, 1)
    np.testing.assert_array_equal(values, expected)
    head = LogisticMixture(8, 2, 2)
    nats = head.log_prob(
        torch.from_numpy(tables[1][values[..., 0]]), torch.from_numpy(values[..., 1:])
    )
    np.testing.assert_allclose(log_probs[..., 1], nats.numpy(), atol=2e-5)
    with pytest.raises(ValueError, match="as many parameters each, got 5 and 12"):
        session.bind(u, values, None, np.zeros((4, 50, 2, 12), np.float32))


def test_listing() -> None:
    text = str(Model(HEAD, SHAPE, seed=12).program())
    assert "x0, x1, x2 = draw logistic_mixture(params; 3 components)   4 uniforms" in text
    assert "4 draws a pixel" in text


def changed(**fields: Any) -> Callable[[], Program]:
    """The program of a small pixel, its draw changed."""
    x = (symbol("x0", 8), symbol("x1", 8))
    params = Buffer("params", 12)
    draw = Draw(x, params.here, "logistic_mixture", 3)
    bias = Sum((params,), (), np.zeros(12, np.float32))
    return lambda: Program("sequence", [bias, replace(draw, **fields)])


WIDE = Buffer("params", 12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (changed(draws=2), r"logistic_mixture draw of 2 targets uses 3 uniforms, got 2"),
        (changed(targets=()), "must have 1 to 16 targets, got 0"),
        (
            changed(targets=tuple(symbol(f"x{c}", 8) for c in range(17)), draws=18),
            "must have 1 to 16 targets, got 17",
        ),
        (
            changed(targets=(symbol("x0", 8), symbol("x1", 9))),
            r"the same vocabulary, at least 2, got \[8, 9\]",
        ),
        (changed(targets=(symbol("x0", 1),), draws=2), r"at least 2, got \[1\]"),
        (
            changed(targets=tuple(symbol(f"x{c}", 8) for c in range(3)), draws=4),
            r"instruction 1 \(x0, x1, x2\): scores params must be f32\[K \* 10\], K components of "
            r"a logit, 3 means, 3 log-scales and 3 couplings, got f32\[12\]",
        ),
        (changed(targets=(symbol("x0", 8), Buffer("x1", 8))), r"must be a symbol, got f32\[8\]"),
        (changed(ref=WIDE[0, -1]), r"must be those of this site, got params\[\+0,-1\]"),
        (changed(head="categorical", draws=1), "a categorical draw must have 1 target, got 2"),
        (changed(targets=symbol("x", 8)), "must be a tuple of symbols, got Buffer at place 1"),
    ],
)
def test_programs_that_do_not_fit(make: Callable[[], Program], message: str) -> None:
    with pytest.raises(ValueError, match="^Program: .*" + message):
        make()


class Pixels(SequenceModel):
    """A model whose program draws pixels."""

    def program(self) -> Program:
        return changed()()


def test_export_refuses(tmp_path: Path) -> None:
    with pytest.raises(NotCompilableError, match=r"Pixels cannot be exported: .* logistic_mixture"):
        export(Pixels(Categorical(3), width=2), tmp_path / "pixels")
