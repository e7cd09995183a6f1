"""The loop over the columns of a row: what row code made ready goes in, a drawn row comes out."""

from __future__ import annotations

from collections.abc import Sequence

from genfast.exporting.categorical import Options
from genfast.exporting.chance import Chance, Part
from genfast.exporting.column import Column
from genfast.exporting.heads import HEADS, draws_of
from genfast.exporting.nodes import FLOAT, INT64, value_info
from genfast.exporting.row import Row
from genfast.exporting.site import own_values, types_of
from genfast.program import Buffer, Draw, Program

__all__ = ["drawn_row"]


def drawn_row(
    row: Row, chances: Sequence[Chance], options: Options, *, with_scores: bool = False
) -> tuple[list[str], list[str]]:
    """Draws a row whose row code has run, and gives `row` the values of its site buffers.

    Args:
        row: The row.
        chances: What each draw of a site is given, of all columns.
        options: What bends every draw.
        with_scores: Whether the scores are wanted, too.

    Returns:
        Of each value that is drawn the symbols, int64 (columns, N); and of each draw its scores,
        float32 (columns, N, width).
    """
    column = Column(row)
    site = _Draws(column, chances, options)
    column.run("site", site)
    wanted = [*site.symbols, *(site.scores if with_scores else ())]
    rows = [buffer for buffer in _site_rows(row.program) if buffer.kind == "f32"]
    kept = [Part(column.values[one.name], FLOAT, ["batch", one.width]) for one in rows]
    found = _scan(row, column, [*wanted, *kept])
    symbols = found[: len(site.symbols)]
    targets = (target for draw in draws_of(row.program) for target in draw.targets)
    for target, symbol in zip(targets, symbols, strict=True):
        row.values[target.name] = row.flat(symbol, 0)
    for buffer, value in zip(rows, found[len(wanted) :], strict=True):
        row.values[buffer.name] = row.flat(value, buffer.width)
    return symbols, found[len(symbols) : len(wanted)]


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
        self.symbols: list[Part] = []
        self.scores: list[Part] = []

    def __call__(self, instruction: Draw, scores: str) -> list[str]:
        column, head = self._column, HEADS[instruction.head]
        chance = {
            name: column.scan(name, part.kind, part.shape, part.value)
            for name, part in next(self._chances).items()
        }
        symbols = head.draw(column.nodes, instruction, scores, chance, self._options)
        self.symbols += [Part(symbol, INT64, ["batch"]) for symbol in symbols]
        self.scores.append(Part(scores, FLOAT, ["batch", instruction.ref.buffer.width]))
        return symbols


def _scan(row: Row, column: Column, wanted: Sequence[Part]) -> list[str]:
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
