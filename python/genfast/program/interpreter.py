"""Running a program in NumPy: small, slow, and obviously right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from genfast.program.buffers import Buffer, Ref
from genfast.program.categorical import categorical
from genfast.program.epilogues import EPILOGUES, Value
from genfast.program.instructions import Draw, Input, Look, Mat, Phase, Sum, Term
from genfast.program.mixture import logistic_mixture

if TYPE_CHECKING:
    from genfast.program.program import Program


class Drawn(NamedTuple):
    """What a run gives.

    Args:
        values: int64 (N, sites, values), what was drawn or forced.
        scores: for each draw of a site, its head's parameters (N, sites, width), before the
            temperature.
    """

    values: NDArray[np.int64]
    scores: tuple[Value, ...]


def interpret(
    program: Program,
    batch: int,
    uniforms: NDArray[np.float32],
    forced: NDArray[np.int64] | None = None,
    inputs: Mapping[str, Value] | None = None,
    *,
    temperature: ArrayLike = 1.0,
    top_k: ArrayLike | None = None,
    top_p: ArrayLike | None = None,
    dtype: type[np.float32] | type[np.float64] = np.float32,
) -> Drawn:
    """Draws a batch site by site, from the border on.

    Args:
        program: optimized or not.
        batch: N, the number of samples.
        uniforms: float32 (N, sites, draws) in [0, 1); a raster has rows * columns sites.
        forced: int64 (N, sites, values), values to take instead of drawing; -1 draws. What one
            draw gives at once is forced as a whole.
        inputs: one array an input: (N, width) from the start, (N, sites, width) ahead of the row;
            a symbol's is int64 without the width.
        temperature: scalar or (N,).
        top_k: scalar or (N,); None or 0 is off.
        top_p: scalar or (N,); None or 1 is off.
        dtype: precision of every value.

    Raises:
        ValueError: an array that does not fit the program, or top_k or top_p for a head without
            classes.
        FloatingPointError: scores that leave nothing to draw, naming row and site.
    """
    rows, columns = program.shape or (1, np.shape(uniforms)[1])
    sites = (batch, rows * columns)
    forced = np.full((*sites, program.values), -1) if forced is None else forced
    _check("uniforms", uniforms, np.float32, (*sites, program.draws))
    _check("forced", forced, np.int64, (*sites, program.values))
    for draw, place in _places(program).items():
        _check_range("forced", forced[..., place.values], -1, draw.targets[0].vocabulary - 1)
        _check_whole(forced[..., place.values])
    options = _Options(
        np.broadcast_to(temperature, batch),
        np.broadcast_to(0 if top_k is None else top_k, batch),
        np.broadcast_to(1.0 if top_p is None else top_p, batch),
    )
    run = _Run(program, uniforms, forced, options, rows, columns, dtype)
    run.give(inputs or {})
    for instruction in run.code("start"):
        for y, x in np.ndindex(rows, columns):
            run.execute(instruction, y, x)
    for y in range(rows):
        for instruction in run.code("row"):
            for x in range(columns):
                run.execute(instruction, y, x)
        for x in range(columns):
            for instruction in run.code("site"):
                run.execute(instruction, y, x)
    return Drawn(run.values, tuple(run.scores))


class _Place(NamedTuple):
    """Which of a site's uniforms and values belong to a draw, and its number among the draws."""

    number: int
    uniforms: slice
    values: slice


def _places(program: Program) -> dict[Draw, _Place]:
    places: dict[Draw, _Place] = {}
    uniform = value = 0
    for draw in (i for i in program.instructions if isinstance(i, Draw)):
        ends = uniform + draw.draws, value + len(draw.targets)
        places[draw] = _Place(len(places), slice(uniform, ends[0]), slice(value, ends[1]))
        uniform, value = ends
    return places


class _Options(NamedTuple):
    temperature: Value
    top_k: Value
    top_p: Value


class _Run:
    """The values of all buffers at all sites, filled as the phases come to them."""

    def __init__(
        self,
        program: Program,
        uniforms: NDArray[np.float32],
        forced: NDArray[np.int64],
        options: _Options,
        rows: int,
        columns: int,
        dtype: type[np.float32] | type[np.float64],
    ) -> None:
        self.program, self.uniforms, self.forced, self.options = program, uniforms, forced, options
        self.rows, self.columns, self.dtype = rows, columns, dtype
        self.batch = uniforms.shape[0]
        self.grids = {buffer.name: self._grid(buffer) for buffer in program.buffers}
        self.places = _places(program)
        self.values = np.full(forced.shape, -1)
        self.scores = [
            np.zeros((*uniforms.shape[:2], draw.ref.buffer.width), dtype) for draw in self.places
        ]

    def _grid(self, buffer: Buffer) -> Value:
        shape = (self.rows, self.columns, self.batch)
        if buffer.kind == "sym":
            return np.full(shape, buffer.vocabulary, np.int64)
        return np.zeros((*shape, buffer.width), self.dtype)

    def give(self, inputs: Mapping[str, Value]) -> None:
        """Writes the inputs to every site."""
        expected = [given.target.name for given in self.program.inputs]
        if sorted(inputs) != sorted(expected):
            raise ValueError(f"interpret: inputs must be {expected}, got {list(inputs)}")
        for given in self.program.inputs:
            name, grid = given.target.name, self.grids[given.target.name]
            sites = () if given.phase == "start" else (self.rows * self.columns,)
            shape = (self.batch, *sites, *grid.shape[3:])
            value = inputs[name]
            symbol = given.target.kind == "sym"
            _check(f"input {name}", value, np.int64 if symbol else np.float32, shape)
            if symbol:
                _check_range(f"input {name}", value, 0, given.target.vocabulary)
            grid[...] = np.moveaxis(value, 0, 1).reshape(grid.shape) if sites else value

    def code(self, phase: Phase) -> list[Sum | Draw]:
        """What runs in a phase, in order."""
        pairs = zip(self.program.instructions, self.program.phases, strict=True)
        return [i for i, its in pairs if its == phase and not isinstance(i, Input)]

    def execute(self, instruction: Sum | Draw, y: int, x: int) -> None:
        """Runs an instruction at (y, x) and writes its targets there."""
        values = self._value(instruction, y, x)
        for target, value in zip(instruction.targets, values, strict=True):
            self.grids[target.name][y, x] = value

    def read(self, ref: Ref, y: int, x: int) -> Value:
        """(N, width) or, of a symbol, (N,): the value at an offset from (y, x), or the border."""
        y, x = y + ref.dy, x + ref.dx
        grid = self.grids[ref.buffer.name]
        if 0 <= y < self.rows and 0 <= x < self.columns:
            return np.asarray(grid[y, x])
        return np.full_like(grid[0, 0], ref.buffer.vocabulary)

    def _value(self, instruction: Sum | Draw, y: int, x: int) -> tuple[Value, ...]:
        if isinstance(instruction, Draw):
            return tuple(self._draw(instruction, y, x).T)
        chain = np.zeros((self.batch, instruction.width), self.dtype)
        if instruction.bias is not None:
            chain += instruction.bias
        for term in instruction.terms:
            chain += self._term(term, y, x)
        states = [self.read(ref, y, x) for ref in instruction.states]
        return EPILOGUES[instruction.epilogue](chain, *states)

    def _term(self, term: Term, y: int, x: int) -> Value:
        value = self.read(term.ref, y, x)
        if isinstance(term, Mat):
            return np.asarray(value @ term.weight.T.astype(self.dtype))
        return term.table[value] if isinstance(term, Look) else value

    def _draw(self, instruction: Draw, y: int, x: int) -> Value:
        place = self.places[instruction]
        site = y * self.columns + x
        scores = self.read(instruction.ref, y, x)
        values = self.forced[:, site, place.values].copy()
        for row in np.flatnonzero(values[:, 0] < 0):
            uniforms = self.uniforms[row, site, place.uniforms]
            options = (option[row] for option in self.options)
            try:
                values[row] = _drawn(instruction, scores[row], uniforms, *options)
            except FloatingPointError as error:
                name = ", ".join(target.name for target in instruction.targets)
                raise FloatingPointError(f"draw {name}: row {row}, site {site}: {error}") from None
        self.scores[place.number][:, site] = scores
        self.values[:, site, place.values] = values
        return values


def _drawn(
    draw: Draw, scores: Value, uniforms: Value, temperature: float, top_k: int, top_p: float
) -> Value | int:
    """What one row draws at a site."""
    if draw.head == "categorical":
        return categorical(scores, uniforms[0], temperature, top_k, top_p)
    if top_k > 0 or top_p < 1:
        raise ValueError(
            f"interpret: top_k and top_p must be off for a {draw.head}, got {top_k} and {top_p}"
        )
    return logistic_mixture(scores, uniforms, draw.targets[0].vocabulary, temperature)


def _check(what: str, array: Value, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        expected, got = np.dtype(dtype), f"{array.dtype} {array.shape}"
        raise ValueError(f"interpret: {what} must be {expected} {shape}, got {got}")


def _check_range(what: str, symbols: Value, low: int, high: int) -> None:
    if symbols.size and (symbols.min() < low or symbols.max() > high):
        raise ValueError(
            f"interpret: {what} must be in [{low}, {high}], got {symbols.min()} to {symbols.max()}"
        )


def _check_whole(forced: Value) -> None:
    """ValueError where only some of the values that one draw gives are forced."""
    parts = ((forced < 0) != (forced[..., :1] < 0)).any(-1)
    if parts.any():
        row, site = (int(i) for i in np.argwhere(parts)[0])
        raise ValueError(
            f"interpret: forced must hold all values of a draw or none, got "
            f"{forced[row, site].tolist()} in row {row} at site {site}"
        )
