"""One site of a program as nodes: what it reads of earlier sites becomes a carried value.

There is no state but that. A buffer read one site back is carried from each site to the next, a
buffer read k sites back as k values. Of a sequence's symbol, whose readers all look it up, the rows
of their tables are carried, so that the symbol itself is only an output of the loop::

    symbol carried         x -> Gather -> ... -> draw -> x         and once more as an output
    rows carried         row -> ... -> draw -> x -> Gather -> row
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.place import Place
from genfast.program import Draw, Program, Ref
from genfast.program.instructions import Array

__all__ = ["Carried", "Site", "own_values", "types_of"]


@dataclass(frozen=True)
class Carried:
    """A value of an earlier site.

    Args:
        name: What readers call it.
        border: What it is before the first site: float32 (1, width), or int64 (1) of symbols.
        following: Gives the value that takes its place; called when the site is complete.
    """

    name: str
    border: NDArray[Any]
    following: Callable[[], str]

    @property
    def kind(self) -> int:
        """Its type in ONNX."""
        return INT64 if self.border.dtype == np.int64 else FLOAT


class Site(Place):
    """A site of a sequence; see `Place`.

    Args:
        nodes: Where the nodes go.
        program: An optimised one.
        batch: int64 (1), the number of rows.
        values: Name of a buffer to its value, of what is known already.
        symbol: int64 (N), the symbol before this site. None for a loop, which carries rows.
    """

    def __init__(
        self,
        nodes: Nodes,
        program: Program,
        batch: str,
        values: dict[str, str],
        symbol: str | None = None,
    ) -> None:
        super().__init__(nodes, program, batch, values)
        self.carried: dict[Hashable, Carried] = {}
        self._symbol = symbol

    def read(self, ref: Ref) -> str:
        """The value of a float buffer, of this site or an earlier one."""
        if ref.dx == 0:
            return self.values[ref.buffer.name]
        name = ref.buffer.name
        border = np.zeros((1, ref.buffer.width), np.float32)
        return self._carry(name, name, -ref.dx, border, lambda: self.values[name])

    def look(self, ref: Ref, table: Callable[[slice], Array], key: Hashable, name: str) -> str:
        """A row of a table for a symbol, of this site or an earlier one; see `Place.look`."""
        symbol = ref.buffer.name

        def row(of: str) -> str:
            return self._row_of(of, table, key, name, f"{name}.row_next")

        if ref.dx == 0:
            return row(self.values[symbol])
        if ref.dx == -1 and self._symbol is not None:
            return row(self._symbol)
        border = table(slice(-1, None))
        return self._carry(key, f"{name}.row", -ref.dx, border, lambda: row(self.values[symbol]))

    @property
    def classes(self) -> int:
        """Symbols that are drawn from."""
        draws = (i for i in self.program.instructions if isinstance(i, Draw))
        return next(draws).target.vocabulary

    def following(self) -> list[str]:
        """What takes the place of each carried value, once the site is complete."""
        taken = {value.name for value in self.carried.values()}
        return own_values(
            self.nodes, (carried.following() for carried in self.carried.values()), taken
        )

    def _carry(
        self, key: Hashable, name: str, back: int, border: NDArray[Any], now: Callable[[], str]
    ) -> str:
        """The value of `back` sites ago; those between are carried, too."""
        following = now
        for age in range(1, back + 1):
            place = (key, age)
            if place not in self.carried:
                fresh = self.nodes.fresh(name if age == 1 else f"{name}_{age}")
                self.carried[place] = Carried(fresh, border, following)
            before = self.carried[place].name
            following = partial(str, before)
        return before


def own_values(nodes: Nodes, values: Iterable[str], taken: set[str]) -> list[str]:
    """Outputs of a loop's body, each a value of its own that the body makes.

    ONNX Runtime mixes up outputs of a loop that are one value, or an input.

    Args:
        nodes: The body.
        values: What they shall be.
        taken: Names that are inputs, or outputs already; these are added.
    """
    owned = []
    for value in values:
        own = value not in taken and nodes.makes(value)
        name = value if own else nodes.add("Identity", value)
        taken.add(name)
        owned.append(name)
    return owned


def types_of(carried: Sequence[Carried], names: Sequence[str] | None = None) -> list[Any]:
    """`value_info` of carried values, or of what takes their place under other names."""
    called = [value.name for value in carried] if names is None else names
    return [
        value_info(name, value.kind, ["batch", *value.border.shape[1:]])
        for name, value in zip(called, carried, strict=True)
    ]
