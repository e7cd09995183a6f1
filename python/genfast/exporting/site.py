"""One site of a program as nodes: what it reads of earlier sites becomes a carried value.

There is no state but that. A buffer read one site back is carried from each site to the next, a
buffer read k sites back as k values. Of a symbol, whose readers all look it up, the rows of their
tables are carried, so that the symbol itself is only an output of the loop::

    symbol carried         x -> Gather -> ... -> draw -> x         and once more as an output
    rows carried         row -> ... -> draw -> x -> Gather -> row
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genfast.exporting.epilogues import translate
from genfast.exporting.nodes import FLOAT, Nodes, value_info
from genfast.program import Add, Buffer, Draw, Input, Program, Ref, Sum
from genfast.program.instructions import Array, Phase, Term

__all__ = ["Carried", "Site", "types_of"]


@dataclass(frozen=True)
class Carried:
    """A value of an earlier site.

    Args:
        name: What readers call it.
        border: float32 (1, width), what it is before the first site.
        following: Gives the value that takes its place; called when the site is complete.
    """

    name: str
    border: Array
    following: Callable[[], str]

    @property
    def width(self) -> int:
        """Columns of it."""
        return int(self.border.shape[1])


class Site:
    """Nodes of a program, instruction by instruction.

    Args:
        nodes: Where they go.
        program: An optimised one.
        batch: int64 (1), the number of rows; read for what no term gives its rows.
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
        self.nodes, self.program, self.values = nodes, program, dict(values)
        self.carried: dict[Hashable, Carried] = {}
        self._batch, self._symbol = batch, symbol
        self._joined: dict[tuple[Ref, ...], str] = {}
        self._absorbed = _absorbed(program)

    def run(self, phase: Phase, draw: Callable[[str], str]) -> None:
        """Adds the code of a phase.

        Args:
            phase: Whose code.
            draw: Takes the name of the scores, gives that of the symbol.
        """
        for instruction, its in zip(self.program.instructions, self.program.phases, strict=True):
            if its != phase or isinstance(instruction, Input):
                continue
            if isinstance(instruction, Draw):
                drawn = draw(self.values[instruction.ref.buffer.name])
                self.values[instruction.target.name] = drawn
            elif instruction.targets[0].name not in self._absorbed:
                translate(self, instruction)

    def read(self, ref: Ref) -> str:
        """The value of a float buffer, of this site or an earlier one."""
        if ref.dx == 0:
            return self.values[ref.buffer.name]
        name, back = ref.buffer.name, -ref.dx
        border = np.zeros((1, ref.buffer.width), np.float32)
        return self._carry(name, name, back, border, lambda: self.values[name])

    def look(self, ref: Ref, table: Callable[[slice], Array], key: Hashable, name: str) -> str:
        """A row of a table for a symbol, of this site or an earlier one.

        Args:
            ref: The symbol.
            table: Gives rows of it, float32 (rows, width); all are vocabulary + 1.
            key: What tells this table from others.
            name: What it is for.
        """
        symbol = ref.buffer.name

        def row(of: str) -> str:
            whole = self.nodes.weight(key, lambda: table(slice(None)), f"{name}.table")
            return self.nodes.add("Gather", whole, of, name=f"{name}.row_next")

        if ref.dx == 0:
            return row(self.values[symbol])
        if ref.dx == -1 and self._symbol is not None:
            return row(self._symbol)
        border = table(slice(-1, None))
        return self._carry(key, f"{name}.row", -ref.dx, border, lambda: row(self.values[symbol]))

    def joined(self, refs: Sequence[Ref]) -> str:
        """What these refs read side by side, made once."""
        if len(refs) == 1:
            return self.read(refs[0])
        places = tuple(refs)
        if places not in self._joined:
            values = [self.read(ref) for ref in refs]
            self._joined[places] = self.nodes.add("Concat", *values, axis=1, name="joined")
        return self._joined[places]

    def sum(self, values: Sequence[str]) -> str:
        """Values added one after the other."""
        total = values[0]
        for value in values[1:]:
            total = self.nodes.add("Add", total, value)
        return total

    def rows(self, row: Array) -> str:
        """Constants as a value: the same for every row of the batch."""
        return self.nodes.expand(row, self._batch, "row")

    @property
    def classes(self) -> int:
        """Symbols that are drawn from."""
        draws = (i for i in self.program.instructions if isinstance(i, Draw))
        return next(draws).target.vocabulary

    def unfolded(self, ref: Ref) -> tuple[Sequence[Term], Array | None]:
        """Terms and bias of what `ref` reads, where it was left out for its reader to compute."""
        absorbed = self._absorbed.get(ref.buffer.name)
        return ((Add(ref),), None) if absorbed is None else (absorbed.terms, absorbed.bias)

    def following(self) -> list[str]:
        """What takes the place of each carried value, once the site is complete.

        Each is a value of its own: ONNX Runtime mixes up outputs of a loop that are one value, or
        an input.
        """
        taken = {value.name for value in self.carried.values()}
        values = []
        for carried in self.carried.values():
            value = carried.following()
            value = self.nodes.add("Identity", value) if value in taken else value
            taken.add(value)
            values.append(value)
        return values

    def next_name(self, buffer: Buffer) -> str:
        """What the value of this site is called, `h0` being that of the site before."""
        kept = self.program.reach[buffer.name].columns > 0
        return f"{buffer.name}_next" if kept else buffer.name

    def _carry(
        self, key: Hashable, name: str, back: int, border: Array, now: Callable[[], str]
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


def types_of(carried: Sequence[Carried], names: Sequence[str] | None = None) -> list[Any]:
    """`value_info` of carried values, or of what takes their place under other names."""
    called = [value.name for value in carried] if names is None else names
    widths = [value.border.shape[1] for value in carried]
    pairs = zip(called, widths, strict=True)
    return [value_info(name, FLOAT, ["batch", width]) for name, width in pairs]


def _absorbed(program: Program) -> dict[str, Sum]:
    """Sums that the one gru which reads them computes together with its own."""
    readers: dict[str, list[Sum | Draw | Input]] = {}
    for instruction in program.instructions:
        for ref in instruction.refs:
            readers.setdefault(ref.buffer.name, []).append(instruction)
    found = {}
    for instruction in program.instructions:
        if isinstance(instruction, Sum) and instruction.epilogue == "gru":
            name = instruction.states[0].buffer.name
            writer = program.instructions[program.writers[name]]
            simple = isinstance(writer, Sum) and writer.epilogue == "none"
            if simple and readers[name] == [instruction] and instruction.states[0].dx == 0:
                assert isinstance(writer, Sum)
                found[name] = writer
    return found
