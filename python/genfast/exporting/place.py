"""Where a program's instructions run, as nodes: what a site and a whole row have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from genfast.exporting.epilogues import translate
from genfast.exporting.nodes import Nodes
from genfast.exporting.terms import Columns, numbers
from genfast.program import Add, Buffer, Draw, Input, Program, Ref, Sum
from genfast.program.instructions import Array, Phase, Term

__all__ = ["Place"]


class Place(ABC):
    """Nodes of a program, instruction by instruction; every value is (rows, width).

    Subclasses say where a value of elsewhere comes from: `read` and `look`.

    Args:
        nodes: Where they go.
        program: An optimised one.
        batch: int64 (1), the number of rows; read for what no term gives its rows.
        values: Name of a buffer to its value here, of what is known already.
    """

    def __init__(
        self,
        nodes: Nodes,
        program: Program,
        batch: str,
        values: dict[str, str],
    ) -> None:
        self.nodes, self.program, self.values = nodes, program, dict(values)
        self._batch = batch
        self._joined: dict[tuple[Ref, ...], str] = {}
        self._absorbed = _absorbed(program)

    @abstractmethod
    def read(self, ref: Ref) -> str:
        """The value of a float buffer, of this place or an earlier one."""

    @abstractmethod
    def look(self, ref: Ref, table: Callable[[slice], Array], key: Hashable, name: str) -> str:
        """A row of a table for a symbol, of this place or an earlier one.

        Args:
            ref: The symbol.
            table: Gives rows of it, float32 (rows, width); all are vocabulary + 1.
            key: What tells this table from others.
            name: What it is for.
        """

    def run(self, phase: Phase, draw: Callable[[Draw, str], Sequence[str]]) -> None:
        """Adds the code of a phase.

        Args:
            phase: Whose code.
            draw: Takes a draw and the name of its scores, gives the name of each symbol.
        """
        for instruction, its in zip(self.program.instructions, self.program.phases, strict=True):
            if its != phase or isinstance(instruction, Input):
                continue
            if isinstance(instruction, Draw):
                drawn = draw(instruction, self.read(instruction.ref))
                names = (target.name for target in instruction.targets)
                self.values |= zip(names, drawn, strict=True)
            elif instruction.targets[0].name not in self._absorbed:
                translate(self, instruction)

    def part(self, ref: Ref, columns: Columns) -> str:
        """Some columns of what `read` gives."""
        value = self.read(ref)
        if not columns:
            return value
        wanted = self.nodes.constant(numbers(columns), np.int64, "columns")
        return self.nodes.add("Gather", value, wanted, axis=1)

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

    def unfolded(self, ref: Ref) -> tuple[Sequence[Term], Array | None]:
        """Terms and bias of what `ref` reads, where it was left out for its reader to compute."""
        absorbed = self._absorbed.get(ref.buffer.name)
        return ((Add(ref),), None) if absorbed is None else (absorbed.terms, absorbed.bias)

    def next_name(self, buffer: Buffer) -> str:
        """What the value of this place is called, `h0` being that of the site before."""
        kept = self.program.reach[buffer.name].columns > 0
        return f"{buffer.name}_next" if kept else buffer.name

    def _row_of(
        self, of: str, table: Callable[[slice], Array], key: Hashable, name: str, called: str
    ) -> str:
        """The rows of a table for symbols that are known."""
        whole = self.nodes.weight(key, lambda: table(slice(None)), f"{name}.table")
        return self.nodes.add("Gather", whole, of, name=called)


def _absorbed(program: Program) -> dict[str, Sum]:
    """Sums that the one gru which reads them, in their own phase, computes with its own."""
    readers: dict[str, list[Sum | Draw | Input]] = {}
    for instruction in program.instructions:
        for ref in instruction.refs:
            readers.setdefault(ref.buffer.name, []).append(instruction)
    found = {}
    for instruction, phase in zip(program.instructions, program.phases, strict=True):
        if isinstance(instruction, Sum) and instruction.epilogue == "gru":
            ref = instruction.states[0]
            place = program.writers[ref.buffer.name]
            writer = program.instructions[place]
            simple = isinstance(writer, Sum) and writer.epilogue == "none"
            alone = readers[ref.buffer.name] == [instruction] and (ref.dy, ref.dx) == (0, 0)
            if simple and alone and program.phases[place] == phase:
                assert isinstance(writer, Sum)
                found[ref.buffer.name] = writer
    return found
