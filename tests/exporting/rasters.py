"""Raster programs written by hand for tests of the exporter, one for each thing that differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.program import Add, Buffer, Draw, Input, Look, Mat, Program, Sum, symbol
from genfast.program.mixture import mixture_parameters

LEVELS, WIDTH, LABELS = 5, 6, 3
NEAR = ((-1, -1), (-1, 0), (-1, 1), (0, -1))

Array = np.ndarray[Any, Any]


class Maker:
    """Writes one raster; `y` is what its scores are made of."""

    def __init__(self, kind: str) -> None:
        self.rng = np.random.default_rng(len(kind))
        self.x, self.y, self.pixel = symbol("x", LEVELS), Buffer("y", WIDTH), Buffer("pixel", 2)
        #: What the last draw gives, and components of a mixture, 0 for a categorical draw.
        self.drawn, self.components = (self.x,), 0
        self.code: list[Any] = []

    def weight(self, *sizes: int) -> Any:
        return (self.rng.normal(size=sizes) * 0.8).astype(np.float32)

    def taps(self, source: Buffer, width: int, *offsets: tuple[int, int]) -> tuple[Mat, ...]:
        return tuple(Mat(self.weight(width, source.width) / 2, source[o]) for o in offsets)

    def table(self, width: int = WIDTH, rows: int = LEVELS) -> Any:
        return self.weight(rows + 1, width)

    def products(self) -> None:
        hidden = Buffer("hidden", WIDTH)
        first = self.taps(self.pixel, WIDTH, *NEAR)
        self.code.append(Sum((hidden,), first, self.weight(WIDTH), "relu"))
        both = (*self.taps(hidden, WIDTH, (-1, 1), (0, -2), (0, 0)), Add(hidden.here))
        self.code.append(Sum((self.y,), both, self.weight(WIDTH), "tanh"))

    def symbols(self) -> None:
        looks = tuple(Look(self.table(), self.x[offset]) for offset in (*NEAR, (-2, 2)))
        self.code.append(Sum((self.y,), looks, None, "sigmoid"))

    def two_draws(self) -> None:
        first, scores = symbol("first", LEVELS), Buffer("scores", LEVELS)
        terms = self.taps(self.pixel, LEVELS, *NEAR)
        self.code.append(Sum((scores,), terms, self.weight(LEVELS)))
        self.code.append(Draw((first,), scores.here))
        late = (Look(self.table(), first.here), Look(self.table(), first[-1, 1]))
        terms = (*late, *self.taps(self.pixel, WIDTH, *NEAR))
        self.code.append(Sum((self.y,), terms, None, "relu"))

    def lstm(self, back: tuple[int, int]) -> None:
        c, width = Buffer("c", WIDTH), 4 * WIDTH
        terms = (*self.taps(self.pixel, width, *NEAR[:-1]), *self.taps(self.y, width, back))
        self.code.append(Sum((self.y, c), terms, self.weight(width), "lstm", (c[back],)))

    def gru(self, back: tuple[int, int]) -> None:
        rec, width = Buffer("rec", 3 * WIDTH), 3 * WIDTH
        self.code.append(Sum((rec,), self.taps(self.y, width, back), self.weight(width)))
        terms, states = self.taps(self.pixel, width, *NEAR), (rec.here, self.y[back])
        self.code.append(Sum((self.y,), terms, self.weight(width), "gru", states))

    def gates(self) -> None:
        above, v, width = Buffer("above", 2 * WIDTH), Buffer("v", WIDTH), 2 * WIDTH
        first = self.taps(self.pixel, width, *NEAR[:-1])
        self.code.append(Sum((above,), first, self.weight(width)))
        self.code.append(Sum((v,), (Add(above.here),), None, "gate"))
        vertical = self.taps(v, width, (0, 0), (0, 1), (-1, -1))
        terms = (*vertical, *self.taps(self.y, width, (0, -1)))
        self.code.append(Sum((self.y,), terms, None, "gate"))

    def conditions(self) -> None:
        label, vector = symbol("classes", LABELS), Buffer("vector", 3)
        features = Buffer("features", 2)
        self.code += [Input(label), Input(vector), Input(features, "row")]
        told = (Look(self.table(rows=LABELS), label.here), *self.taps(vector, WIDTH, (0, 0)))
        maps = self.taps(features, WIDTH, (0, 0), (0, 1), (-1, -1))
        terms = (*told, *maps, *self.taps(self.pixel, WIDTH, *NEAR))
        self.code.append(Sum((self.y,), terms, self.weight(WIDTH), "tanh"))

    def of_nothing(self) -> None:
        self.code.append(Sum((self.y,), (), self.weight(WIDTH), "tanh"))

    def far_taps(self) -> None:
        terms = self.taps(self.pixel, WIDTH, (-3, -4), (-1, 3), (0, -3), (-2, 0))
        self.code.append(Sum((self.y,), terms, self.weight(WIDTH), "tanh"))

    def mixture(self, channels: int, components: int) -> None:
        more = (symbol(f"x{c}", LEVELS) for c in range(1, channels))
        self.drawn, self.components = (self.x, *more), components
        looks = [Look(self.table(), one[0, -1]) for one in self.drawn]
        looks += [Look(self.table(), self.drawn[-1][-1, 1])]
        terms = (*looks, *self.taps(self.pixel, WIDTH, *NEAR))
        self.code.append(Sum((self.y,), terms, self.weight(WIDTH), "tanh"))

    def draw(self) -> None:
        count = len(self.drawn)
        width = self.components * mixture_parameters(count) or LEVELS
        params = Buffer("params", width)
        product = Mat(self.weight(width, WIDTH) * 2, self.y.here)
        self.code.append(Sum((params,), (product,), self.weight(width)))
        mixture: tuple[Any, ...] = ("logistic_mixture", 1 + count) if self.components else ()
        self.code.append(Draw(self.drawn, params.here, *mixture))

    def program(self, shape: tuple[int, int]) -> Program:
        """The raster, its scores behind the code that was written."""
        self.draw()
        table = np.concatenate([self.weight(LEVELS, 2), np.zeros((1, 2), np.float32)])
        if any(ref.buffer == self.pixel for one in self.code for ref in one.refs):
            self.code.append(Sum((self.pixel,), (Look(table, self.x.here),)))
        return Program("raster", self.code, shape)


_WRITERS: dict[str, Callable[[Maker], None]] = {
    "products": Maker.products,
    "symbols": Maker.symbols,
    "two draws": Maker.two_draws,
    "lstm along rows": lambda maker: maker.lstm((0, -1)),
    "lstm down columns": lambda maker: maker.lstm((-1, 0)),
    "gru along rows": lambda maker: maker.gru((0, -1)),
    "gru over rows": lambda maker: maker.gru((-1, 1)),
    "gates": Maker.gates,
    "conditions": Maker.conditions,
    "of nothing": Maker.of_nothing,
    "far taps": Maker.far_taps,
    "mixture, grey": lambda maker: maker.mixture(1, 3),
    "mixture, one component": lambda maker: maker.mixture(2, 1),
    "mixture, RGB": lambda maker: maker.mixture(3, 4),
}
KINDS = list(_WRITERS)


def make_raster(kind: str, shape: tuple[int, int]) -> Program:
    """A raster whose scores depend on what its name says, and on pixels above and to the left."""
    maker = Maker(kind)
    _WRITERS[kind](maker)
    return maker.program(shape)


def inputs_of(program: Program, n: int) -> dict[str, Array]:
    """A value of every input of a program, as the interpreter takes it."""
    rng, sites = np.random.default_rng(7), int(np.prod(program.shape or ()))
    made: dict[str, Array] = {}
    for given in program.inputs:
        name, width = given.target.name, given.target.width
        if given.target.kind == "sym":
            made[name] = rng.integers(given.target.vocabulary, size=n)
        else:
            size = (n, width) if given.phase == "start" else (n, sites, width)
            made[name] = rng.normal(size=size).astype(np.float32)
    return made


def given_of(program: Program, n: int) -> Array:
    """Levels, -1 where one is drawn, int64 (n, sites, values); what one draw gives is whole."""
    rng, sites = np.random.default_rng(5), int(np.prod(program.shape or ()))
    draws = [i for i in program.instructions if isinstance(i, Draw)]
    parts = [rng.integers(LEVELS, size=(n, sites, len(draw.targets))) for draw in draws]
    return np.concatenate(
        [np.where(rng.random((n, sites, 1)) < 0.3, part, -1) for part in parts], -1
    )


def fed_inputs(program: Program, inputs: dict[str, Array]) -> dict[str, Array]:
    """The same, as a graph takes it: batch first, then channels, then rows and columns."""
    rows, columns = program.shape or (0, 0)
    fed = {}
    for name, value in inputs.items():
        fed[name] = value[:, None] if value.ndim == 1 else value
        if value.ndim == 3:
            fed[name] = value.reshape(len(value), rows, columns, -1).transpose(0, 3, 1, 2)
    return fed


def chance(n: int, sites: int) -> Array:
    """Uniforms float32 (n, sites) of the lattice that the generator draws from."""
    # Of a seed: one draw in some 10**6 lies so near an edge that rounding decides.
    words = np.random.default_rng(sites).integers(0, 2**24, (n, sites))
    return (words * 2.0**-24).astype(np.float32)
