"""Dropping what no draw needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genfast.program.instructions import Draw, Sum

if TYPE_CHECKING:
    from genfast.program.program import Program


def drop_dead(program: Program) -> Program:
    """The same program without sums that no draw reads, not even through others.

    Inputs stay, read or not: they are what a caller passes. Every bit of the draws stays.
    """
    live: set[int] = set()
    pending = [
        i for i, instruction in enumerate(program.instructions) if isinstance(instruction, Draw)
    ]
    while pending:
        place = pending.pop()
        if place not in live:
            live.add(place)
            refs = program.instructions[place].refs
            pending.extend(program.writers[ref.buffer.name] for ref in refs)
    return program.rewritten(
        instruction
        for place, instruction in enumerate(program.instructions)
        if place in live or not isinstance(instruction, Sum)
    )
