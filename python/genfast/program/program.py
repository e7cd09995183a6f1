"""The program: what a model draws with, as a short list of instructions over named buffers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal

from genfast._extension import core
from genfast.program.buffers import Buffer, Ref
from genfast.program.cost import multiply_adds, weight_bytes
from genfast.program.dead import drop_dead
from genfast.program.fold import fold
from genfast.program.hoist import hoist
from genfast.program.instructions import Draw, Input, Instruction, Phase
from genfast.program.listing import listing
from genfast.program.lower import lower
from genfast.program.phases import infer, known, schedule
from genfast.program.reach import Reach, reach
from genfast.program.validate import check_finite, check_program

Order = Literal["sequence", "raster"]


class Program:
    """Instructions over buffers, checked when built.

    Execution goes phase by phase, each in the order of the list: `start` code once; `row` code
    before the first site of a row, every instruction for the whole row at once; `site` code at
    each site. Phases are inferred.

    Args:
        order: `"sequence"`, one endless row; or `"raster"`, rows from top to bottom, columns from
            left to right.
        instructions: what to run. An instruction stands after those it reads at its own site.
            Inputs are moved to the front; messages and listing number the others from 0.
        shape: (rows, columns) of a raster; None for a sequence.

    Raises:
        ValueError: an instruction that does not fit its buffers, reads the future, or holds
            weights that are not finite float32; the message names it and both shapes.
    """

    order: Order
    shape: tuple[int, int] | None
    instructions: tuple[Instruction, ...]
    #: Of each instruction: the earliest moment at which all that it reads is known.
    phases: tuple[Phase, ...]

    def __init__(
        self,
        order: Order,
        instructions: Sequence[Instruction],
        shape: tuple[int, int] | None = None,
    ) -> None:
        self._build(order, instructions, shape)
        check_finite(self)

    def _build(
        self, order: Order, instructions: Iterable[Instruction], shape: tuple[int, int] | None
    ) -> None:
        self.order = order
        self.shape = shape
        self.instructions = tuple(
            sorted(instructions, key=lambda instruction: not isinstance(instruction, Input))
        )
        check_program(self)
        self.phases = infer(self)

    def rewritten(self, instructions: Iterable[Instruction]) -> Program:
        """A pass's result: checked like any program, but for weights known to be finite."""
        program = object.__new__(Program)
        program._build(self.order, instructions, self.shape)
        return program

    def optimized(self) -> Program:
        """The same program with less to do at each site.

        Folds embeddings into the matrices that read them, splits sums so that what is known early
        is computed early, and drops what no draw needs. Afterwards site code reads only start
        buffers, row buffers at its own column, and site buffers of its row at dx <= 0.

        Returns:
            A program whose instructions stand in order of execution. Its scores differ from this
            one's within rounding, by the order of terms and by the folded tables.
        """
        program = fold(schedule(self))
        return drop_dead(schedule(hoist(program)))

    def lower(self) -> core.Program:
        """The flat program of the compiled core, finished.

        Raises:
            ValueError: site code reads what only `optimized` brings within its reach.
        """
        return lower(self)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, which stand first."""
        return tuple(i for i in self.instructions if isinstance(i, Input))

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """Every buffer, in the order in which instructions write them."""
        return tuple(target for i in self.instructions for target in i.targets)

    @cached_property
    def writers(self) -> dict[str, int]:
        """Name of a buffer to the place of its writer in `instructions`."""
        return {
            target.name: place
            for place, instruction in enumerate(self.instructions)
            for target in instruction.targets
        }

    @cached_property
    def reach(self) -> dict[str, Reach]:
        """Name of a buffer to the rows and columns of it that readers still need."""
        return reach(self)

    def known(self, place: int, ref: Ref) -> Phase:
        """Phase at which the instruction at `place` can read `ref`."""
        return known(ref, place, self.writers, self.phases)

    @property
    def draws(self) -> int:
        """Uniforms a site."""
        return sum(i.draws for i in self.instructions if isinstance(i, Draw))

    @property
    def values(self) -> int:
        """Symbols that are drawn at a site."""
        return sum(len(i.targets) for i in self.instructions if isinstance(i, Draw))

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights, each use counted."""
        return sum(weight_bytes(i) for i in self.instructions)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one site of one sample: row and site code, not start code."""
        pairs = zip(self.instructions, self.phases, strict=True)
        return sum(multiply_adds(i) for i, phase in pairs if phase != "start")

    def __str__(self) -> str:
        return listing(self)

    def __repr__(self) -> str:
        return f"Program({self.order!r}, {len(self.instructions)} instructions, {self.shape})"
