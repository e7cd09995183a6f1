"""When an instruction can run: `start`, `row` or `site`, inferred from what it reads.

What a reader at the marked site (@) may know, in a raster:

    row y-2   r r r r r r r      r  known when row y starts, whoever wrote it
    row y-1   r r r r r r r      s  known at the site, unless its writer runs in the row phase and
    row y     s s s @ . . .         stands before the reader: then all of row y is known (r)
                                 @  known when its writer stands before the reader, with its phase
                                 .  the future, unless known as r

One pass in order of the list suffices: only writers that stand before a reader decide its phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from genfast.program.buffers import Ref
from genfast.program.instructions import PHASES, Draw, Input, Instruction, Phase, Sum

if TYPE_CHECKING:
    from genfast.program.program import Program


def infer(program: Program) -> tuple[Phase, ...]:
    """The phase of each instruction: the earliest moment at which all that it reads is known.

    A draw is always of phase `site`, even where its scores are known earlier.

    Raises:
        ValueError: `instruction 3 reads the future: a0[+0,+1]`; or a buffer of phase `start`,
            which has no position, read at an offset.
    """
    phases: list[Phase] = []
    for place, instruction in enumerate(program.instructions):
        try:
            needs = [known(ref, place, program.writers, phases) for ref in instruction.refs]
        except _FutureError as future:
            number = place - len(program.inputs)
            raise ValueError(f"instruction {number} reads the future: {future}") from None
        phases.append(_phase(instruction, needs))
    _check_start(program, phases)
    return tuple(phases)


def known(ref: Ref, reader: int, writers: Mapping[str, int], phases: Sequence[Phase]) -> Phase:
    """The phase at which the instruction at place `reader` can read `ref`.

    Args:
        ref: what is read.
        reader: place of the reading instruction.
        writers: name of a buffer to the place of its writer.
        phases: those of the instructions before `reader` at least.
    """
    writer = writers[ref.buffer.name]
    if ref.dy < 0:
        return "row"
    if ref.dy == 0 and writer < reader and (ref.dx <= 0 or phases[writer] != "site"):
        return phases[writer]
    if ref.dy == 0 and ref.dx < 0:
        return "site"
    raise _FutureError(f"{ref.buffer.name}[{ref.dy:+d},{ref.dx:+d}]")


class _FutureError(Exception):
    """A ref to what nothing has written yet."""


def _phase(instruction: Instruction, needs: Sequence[Phase]) -> Phase:
    if isinstance(instruction, Input):
        return instruction.phase
    if isinstance(instruction, Draw):
        return "site"
    return max(needs, key=PHASES.index, default="start")


def _check_start(program: Program, phases: Sequence[Phase]) -> None:
    for place, instruction in enumerate(program.instructions):
        for ref in instruction.refs:
            start = phases[program.writers[ref.buffer.name]] == "start"
            if start and (ref.dy, ref.dx) != (0, 0):
                number = place - len(program.inputs)
                raise ValueError(
                    f"instruction {number} reads {ref}: {ref.buffer.name} is known from the start "
                    f"and has no position, so it must be read at [+0,+0]"
                )


def schedule(program: Program) -> Program:
    """The same program with instructions in order of execution and terms in order of phase.

    Both sorts are stable. Sorting may show that a ref is known earlier (its writer now stands
    before the reader), never later, so repeating it comes to rest.
    """
    while True:
        ordered = program.rewritten(_ordered(program))
        if ordered.phases == program.phases:
            return ordered
        program = ordered


def _ordered(program: Program) -> list[Instruction]:
    places = sorted(
        range(len(program.instructions)), key=lambda place: PHASES.index(program.phases[place])
    )
    return [_order_terms(program, place) for place in places]


def _order_terms(program: Program, place: int) -> Instruction:
    instruction = program.instructions[place]
    if not isinstance(instruction, Sum):
        return instruction
    terms = sorted(instruction.terms, key=lambda term: PHASES.index(program.known(place, term.ref)))
    return replace(instruction, terms=tuple(terms))
