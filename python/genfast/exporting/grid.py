"""A raster's sizes in a graph: how many sites a row of a batch has, and what lies outside."""

from __future__ import annotations

import numpy as np

from genfast.exporting.nodes import INT64, Nodes
from genfast.program import Buffer

__all__ = ["Grid"]


class Grid:
    """Sizes that depend on the batch, each computed once in the outermost graph.

    The code of a row runs on all of its sites at once. Its values are (columns N, width), column
    by column, so that a step to the side is N rows and a tap one contiguous cut::

        column 0       column 1       column 2
        n0 n1 .. nN-1  n0 n1 .. nN-1  n0 n1 ..

    Args:
        nodes: The outermost graph.
        batch: int64 (1), N.
        rows: Of the raster.
        columns: Of the raster.
    """

    def __init__(self, nodes: Nodes, batch: str, rows: int, columns: int) -> None:
        self.batch, self.rows, self.columns = batch, rows, columns
        self._nodes = nodes
        self._made: dict[tuple[object, ...], str] = {}

    def cells(self, columns: int) -> str:
        """int64 (1), the sites of so many columns in the whole batch."""
        if columns == 0:
            return self._nodes.integers(0)
        if columns == 1:
            return self.batch
        key = ("cells", columns)
        if key not in self._made:
            count = self._nodes.integers(columns)
            self._made[key] = self._nodes.add("Mul", self.batch, count, name=f"cells_{columns}")
        return self._made[key]

    def border(self, buffer: Buffer, columns: int) -> str:
        """What lies outside of the image, of so many columns: (columns N, width), symbols flat."""
        symbol = buffer.kind == "sym"
        outside, width = (buffer.vocabulary, 0) if symbol else (0, buffer.width)
        key = ("border", outside, width, columns)
        if key not in self._made:
            value = self._nodes.constant(outside, np.int64 if symbol else np.float32, "outside")
            shape = self.cells(columns)
            if not symbol:
                shape = self._nodes.add("Concat", shape, self._nodes.integers(width), axis=0)
            self._made[key] = self._nodes.add("Expand", value, shape, name="border")
        return self._made[key]

    def tiled(self, value: str, width: int) -> str:
        """A value of every sample, (N, width), as one of every site of a row."""
        key = ("tiled", value)
        if key not in self._made:
            nodes = self._nodes
            tail = nodes.integers(width)
            shape = nodes.add("Concat", nodes.integers(self.columns), self.batch, tail, axis=0)
            wide = nodes.add("Expand", value, shape)
            flat = nodes.add("Concat", self.cells(self.columns), tail, axis=0)
            self._made[key] = nodes.add("Reshape", wide, flat, name=f"{value}_row", allowzero=1)
        return self._made[key]

    def first(self, value: object, kind: int) -> str:
        """A border (1, width) or (1) for every sample: (N, width), or (N) of symbols."""
        row = np.asarray(value)
        if kind != INT64:
            return self._nodes.expand(row, self.batch, "border")
        constant = self._nodes.constant(row, np.int64, "outside")
        return self._nodes.add("Expand", constant, self.batch, name="border")
