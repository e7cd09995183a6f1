"""A whole row of a raster as nodes: row code on all of its sites at once.

What it reads of rows above is kept from row to row, with the columns outside of the image beside
it, so that each tap is one cut::

    kept row     | o o o | x x x x x x | o o |      o outside: 0, or a symbol's number V
    tap dx = -2      | x x x x x x |
    tap dx = +1            | x x x x x x |
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from genfast.exporting.grid import Grid
from genfast.exporting.nodes import Nodes
from genfast.exporting.place import Place
from genfast.exporting.site import own_values
from genfast.exporting.terms import Columns
from genfast.program import Buffer, Program, Ref
from genfast.program.instructions import Array

__all__ = ["KeptRow", "Row", "kept_rows"]


@dataclass(frozen=True)
class KeptRow:
    """A row above, which row code reads.

    Args:
        buffer: Whose.
        age: How many rows above.
        left: Columns read beyond the left edge.
        right: Columns read beyond the right edge.
    """

    buffer: Buffer
    age: int
    left: int
    right: int

    @property
    def name(self) -> str:
        """What readers call it."""
        return f"{self.buffer.name}_above" + (f"_{self.age}" if self.age > 1 else "")

    def columns(self, grid: Grid) -> int:
        """How many it has, those outside of the image included."""
        return self.left + grid.columns + self.right


def kept_rows(program: Program) -> list[KeptRow]:
    """Every row that is handed from row to row, by buffer, the nearest first."""
    kept = []
    for buffer, refs in _row_reads(program).items():
        rows = max([0, *(-ref.dy for ref in refs)])
        kept += [KeptRow(buffer, age, *_edges(refs)) for age in range(1, rows + 1)]
    return kept


class Row(Place):
    """A row of a raster; see `Place`. Values are (columns N, width), symbols (columns N).

    Args:
        nodes: Where the nodes go.
        program: An optimised one.
        grid: The raster.
        start: Name of a buffer to its value (N, width), of what is known from the start.
        above: Kept row to its value, as `following` gives it.
    """

    def __init__(
        self,
        nodes: Nodes,
        program: Program,
        grid: Grid,
        start: dict[str, str],
        above: dict[KeptRow, str],
    ) -> None:
        super().__init__(nodes, program, grid.cells(grid.columns), {})
        self.grid, self.start = grid, start
        self._above: dict[KeptRow, str] = {}
        self._rows: dict[tuple[Buffer, int], str] = {}
        self._edges = {buffer: _edges(refs) for buffer, refs in _row_reads(program).items()}
        self._taps: dict[Ref, str] = {}
        self.give_above(above)

    def give_above(self, above: dict[KeptRow, str]) -> None:
        """Says what kept rows are, before any code runs."""
        self._above |= above
        self._rows |= {(kept.buffer, kept.age): value for kept, value in above.items()}

    def read(self, ref: Ref) -> str:
        """The value of a float buffer, at every site of the row."""
        if ref.buffer.name in self.start:
            return self.grid.tiled(self.start[ref.buffer.name], ref.buffer.width)
        return self._tap(ref)

    def part(self, ref: Ref, columns: Columns) -> str:
        """Some columns of what `read` gives."""
        value = self.read(ref)
        return self.nodes.columns(value, columns) if columns else value

    def look(self, ref: Ref, table: Callable[[slice], Array], key: Hashable, name: str) -> str:
        """Rows of a table for the symbols of a whole row; see `Place.look`."""
        if ref.buffer.name in self.start:
            looked = self._row_of(self.start[ref.buffer.name], table, key, name, f"{name}.row")
            return self.grid.tiled(looked, table(slice(0, 1)).shape[1])
        return self._row_of(self._tap(ref), table, key, name, f"{name}.row")

    def following(self) -> list[str]:
        """What takes the place of each kept row, once the whole row is drawn."""
        taken = set(self._above.values())
        values = (self._padded(kept.buffer, kept.age - 1) for kept in self._above)
        return own_values(self.nodes, values, taken)

    def by_column(self, value: str, width: int) -> str:
        """A value of the row as one a column: (columns, N, width), of symbols (columns, N)."""
        shape = (self.grid.columns, -1, *((width,) if width else ()))
        return self.nodes.add("Reshape", value, self.nodes.integers(*shape))

    def flat(self, value: str, width: int) -> str:
        """What `by_column` gives, as a value of the row again."""
        shape = self.nodes.integers(-1, *((width,) if width else ()))
        return self.nodes.add("Reshape", value, shape)

    def padded(self, value: str, buffer: Buffer) -> str:
        """A row of a buffer with what lies outside of the image beside it."""
        left, right = (
            [self.grid.border(buffer, edge)] if edge else [] for edge in self._edges[buffer]
        )
        parts = [*left, value, *right]
        if len(parts) == 1:
            return value
        return self.nodes.add("Concat", *parts, axis=0, name=f"{buffer.name}_padded")

    def _tap(self, ref: Ref) -> str:
        """The row dy away as its sites see it that are dx away, made once."""
        if (ref.dy, ref.dx) == (0, 0):
            return self.values[ref.buffer.name]
        if ref not in self._taps:
            left, right = self._edges[ref.buffer]
            value, first = self._padded(ref.buffer, -ref.dy), left + ref.dx
            if left + right > 0:
                cut = (self.grid.cells(first), self.grid.cells(first + self.grid.columns))
                value = self.nodes.add("Slice", value, *cut, name=f"{ref.buffer.name}_tap")
            self._taps[ref] = value
        return self._taps[ref]

    def _padded(self, buffer: Buffer, age: int) -> str:
        """The padded row of so many rows above, made once."""
        key = (buffer, age)
        if key not in self._rows:
            self._rows[key] = self.padded(self.values[buffer.name], buffer)
        return self._rows[key]


def _row_reads(program: Program) -> dict[Buffer, list[Ref]]:
    """What row code reads of each buffer."""
    reads: dict[Buffer, list[Ref]] = {buffer: [] for buffer in program.buffers}
    for instruction, phase in zip(program.instructions, program.phases, strict=True):
        if phase == "row":
            for ref in instruction.refs:
                reads[ref.buffer].append(ref)
    return reads


def _edges(refs: list[Ref]) -> tuple[int, int]:
    """Columns read beyond the left and the right edge."""
    return max([0, *(-ref.dx for ref in refs)]), max([0, *(ref.dx for ref in refs)])
