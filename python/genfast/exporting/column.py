"""One site of a raster as nodes: the body of the loop over the columns of a row."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.row import Row
from genfast.exporting.site import Site
from genfast.exporting.terms import WHOLE, Columns, numbers
from genfast.program import Buffer, Ref
from genfast.program.instructions import Array

__all__ = ["Column"]


class Column(Site):
    """A site of a raster; see `Site`. Symbols are carried as they are, not as rows of tables.

    What row code has computed is scanned, column by column; a gate's half is scanned by itself.

    Args:
        row: The row that the site is in; gets the nodes that make ready what is scanned.
    """

    def __init__(self, row: Row) -> None:
        super().__init__(Nodes(row.nodes), row.program, row.grid.batch, row.start)
        self._row = row
        #: What is scanned: `value_info` in this body, and the value in the row's nodes.
        self.scanned: list[tuple[object, str]] = []
        self._scanned: dict[tuple[str, Columns], str] = {}

    def read(self, ref: Ref) -> str:
        """The value of a float buffer, of this site or an earlier one."""
        return self._of_row(ref.buffer, WHOLE) if self._early(ref) else super().read(ref)

    def part(self, ref: Ref, columns: Columns) -> str:
        """Some columns of what `read` gives."""
        if self._early(ref):
            return self._of_row(ref.buffer, columns)
        return super().part(ref, columns)

    def look(self, ref: Ref, table: Callable[[slice], Array], key: Hashable, name: str) -> str:
        """A row of a table for a symbol, of this site or an earlier one; see `Place.look`."""
        called, symbol = f"{name}.row", ref.buffer
        if self._early(ref):
            of = self._of_row(symbol, WHOLE)
        elif ref.dx == 0:
            of = self.values[symbol.name]
        else:
            border = np.array([symbol.vocabulary])
            now = self.values.__getitem__
            of = self._carry(symbol.name, symbol.name, -ref.dx, border, lambda: now(symbol.name))
        return self._row_of(of, table, key, name, called)

    def scan(self, name: str, kind: int, shape: list[int | str], value: str) -> str:
        """The name in this body of what the row's nodes know as `value`, one a column."""
        fresh = self.nodes.fresh(name)
        self.scanned.append((value_info(fresh, kind, shape), value))
        return fresh

    def _early(self, ref: Ref) -> bool:
        """Whether row code has computed this, for every site of the row."""
        return ref.buffer.name in self._row.values

    def _of_row(self, buffer: Buffer, columns: Columns) -> str:
        key = (buffer.name, columns)
        if key not in self._scanned:
            row, symbol = self._row, buffer.kind == "sym"
            value, width = row.values[buffer.name], buffer.width
            if columns:
                value, width = row.nodes.columns(value, columns), len(numbers(columns))
            value = row.by_column(value, 0 if symbol else width)
            shape: list[int | str] = ["batch"] if symbol else ["batch", width]
            kind = INT64 if symbol else FLOAT
            self._scanned[key] = self.scan(f"{buffer.name}_here", kind, shape, value)
        return self._scanned[key]
