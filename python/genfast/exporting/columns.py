"""The loop over the columns of a row: what row code made ready goes in, a drawn row comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from onnx import TensorProto

from genfast.exporting.column import Column
from genfast.exporting.draw import Options, draw
from genfast.exporting.nodes import FLOAT, INT64, value_info
from genfast.exporting.row import Row
from genfast.exporting.site import own_values, types_of
from genfast.program import Buffer, Draw, Program

__all__ = ["Chance", "drawn_row", "draws_of"]


@dataclass(frozen=True)
class Chance:
    """What one draw of every site of a row is given, as names in the row's graph.

    Args:
        uniform: float32 (columns, N, 1) in (0, 1).
        given: int64 (columns, N), what to take in place of a draw.
        is_drawn: bool (columns, N), whether to draw after all.
    """

    uniform: str
    given: str
    is_drawn: str


def draws_of(program: Program) -> list[Draw]:
    """The draws of a site, in order."""
    return [i for i in program.instructions if isinstance(i, Draw)]


def drawn_row(
    row: Row, chances: Sequence[Chance], options: Options, *, with_scores: bool = False
) -> tuple[list[str], list[str]]:
    """Draws a row whose row code has run, and gives `row` the values of its site buffers.

    Args:
        row: The row.
        chances: One a draw of a site.
        options: What bends every draw.
        with_scores: Whether the scores are wanted, too.

    Returns:
        Of each draw the symbols, int64 (columns, N), and the scores, float32 (columns, N, classes).
    """
    column = Column(row)
    site = _Draws(column, chances, options)
    column.run("site", site)
    wanted = [*site.symbols, *(site.scores if with_scores else ())]
    rows = [buffer for buffer in _site_rows(row.program) if buffer.kind == "f32"]
    kept = [_Wanted(column.values[one.name], FLOAT, ["batch", one.width]) for one in rows]
    found = _scan(row, column, [*wanted, *kept])
    symbols = found[: len(site.symbols)]
    for one, symbol in zip(draws_of(row.program), symbols, strict=True):
        row.values[one.target.name] = row.flat(symbol, 0)
    for buffer, value in zip(rows, found[len(wanted) :], strict=True):
        row.values[buffer.name] = row.flat(value, buffer.width)
    return symbols, found[len(symbols) : len(wanted)]


class _Wanted(NamedTuple):
    """A value of the body that is wanted of every column, with its type and shape."""

    value: str
    kind: int
    shape: list[Any]


def _site_rows(program: Program) -> list[Buffer]:
    """Buffers of site code that the row code of later rows reads."""
    pairs = zip(program.instructions, program.phases, strict=True)
    written = [target for i, phase in pairs if phase == "site" for target in i.targets]
    return [buffer for buffer in written if program.reach[buffer.name].rows > 0]


class _Draws:
    """Draws the symbols of a site one after the other, and keeps what was drawn, and from what."""

    def __init__(self, column: Column, chances: Sequence[Chance], options: Options) -> None:
        self._column, self._options = column, options
        self._chances = iter(chances)
        self.symbols: list[_Wanted] = []
        self.scores: list[_Wanted] = []

    def __call__(self, instruction: Draw, scores: str) -> str:
        column, chance = self._column, next(self._chances)
        uniform = column.scan("uniform", FLOAT, ["batch", 1], chance.uniform)
        given = column.scan("given", INT64, ["batch"], chance.given)
        is_drawn = column.scan("is_drawn", TensorProto.BOOL, ["batch"], chance.is_drawn)
        options = replace(self._options, uniform=uniform)
        drawn = draw(column.nodes, scores, instruction.target.vocabulary, options)
        symbol = column.nodes.add("Where", is_drawn, drawn, given, name=instruction.target.name)
        self.symbols.append(_Wanted(symbol, INT64, ["batch"]))
        classes = instruction.target.vocabulary
        self.scores.append(_Wanted(scores, FLOAT, ["batch", classes]))
        return symbol


def _scan(row: Row, column: Column, wanted: Sequence[_Wanted]) -> list[str]:
    """The loop's node; what it gives of every column, in the order of `wanted`."""
    body, carried = column.nodes, list(column.carried.values())
    after = column.following()
    taken = {*(value.name for value in carried), *after}
    owned = own_values(body, (one.value for one in wanted), taken)
    body.prune([*after, *owned])
    inputs = [*types_of(carried), *(info for info, _ in column.scanned)]
    results = [
        value_info(name, one.kind, one.shape) for name, one in zip(owned, wanted, strict=True)
    ]
    graph = body.body("site", inputs, [*types_of(carried, after), *results])
    begin = [row.grid.first(value.border, value.kind) for value in carried]
    names = [*(f"{value.name}_end" for value in carried), *(f"{name}_row" for name in owned)]
    scanned = [value for _, value in column.scanned]
    made = row.nodes.many(
        "Scan", [*begin, *scanned], names, body=graph, num_scan_inputs=len(scanned)
    )
    return made[len(carried) :]
