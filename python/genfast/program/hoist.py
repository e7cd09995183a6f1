"""Hoisting: what is known early is computed early.

A sum whose terms are known at several moments is split into partial sums, one for each:

    h = relu(b + A v[-1,+0] + B h0)      becomes      h.row = b + A v[-1,+0]        row phase
                                                      h     = relu(h.row + B h0)    site phase

An element of a sum is one chain, bias first, then the terms in order. With terms in order of
phase the partial sums are prefixes of that chain, so every bit stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from genfast.program.buffers import Buffer, Ref
from genfast.program.instructions import PHASES, Add, Instruction, Phase, Sum, Term

if TYPE_CHECKING:
    from genfast.program.program import Program


def hoist(program: Program) -> Program:
    """The same program with each sum split into what its phases can compute.

    Site code of the result reads only start buffers, row buffers at its own column, and site
    buffers of its row at dx <= 0.

    Args:
        program: one whose terms stand in order of phase, as `schedule` leaves them.
    """
    names = {buffer.name for buffer in program.buffers}
    instructions: list[Instruction] = []
    for place, instruction in enumerate(program.instructions):
        if isinstance(instruction, Sum):
            instructions += _split(program, place, instruction, names)
        else:
            instructions.append(instruction)
    return program.rewritten(instructions)


def _split(program: Program, place: int, whole: Sum, names: set[str]) -> list[Instruction]:
    """The partial sums of one sum, then what is left of it."""
    copies, states = _early_states(program, place, whole, names)
    partials: list[Instruction] = []
    terms: tuple[Term, ...] = ()
    bias = whole.bias
    for phase in PHASES[: PHASES.index(program.phases[place])]:
        terms += _known_at(program, place, whole, phase)
        if terms and not (bias is None and _is_copy(terms)):
            name = _fresh(f"{whole.targets[0].name}.{phase}", names)
            partial = Sum((Buffer(name, whole.width),), terms, bias)
            partials.append(partial)
            terms, bias = (Add(partial.targets[0].here),), None
    terms += _known_at(program, place, whole, program.phases[place])
    return [*copies, *partials, replace(whole, terms=terms, bias=bias, states=states)]


def _known_at(program: Program, place: int, whole: Sum, phase: Phase) -> tuple[Term, ...]:
    return tuple(term for term in whole.terms if program.known(place, term.ref) == phase)


def _is_copy(terms: tuple[Term, ...]) -> bool:
    """Whether these terms are a value that later phases may read where it stands."""
    return len(terms) == 1 and isinstance(terms[0], Add) and _here(terms[0].ref)


def _early_states(
    program: Program, place: int, whole: Sum, names: set[str]
) -> tuple[list[Instruction], tuple[Ref, ...]]:
    """Row code that brings the states of site code to its own column, and the states then."""
    copies: list[Instruction] = []
    states: list[Ref] = []
    for ref in whole.states:
        early = program.phases[place] == "site" and program.known(place, ref) == "row"
        if not early or _here(ref):
            states.append(ref)
        else:
            copy = Buffer(_fresh(f"{ref.buffer.name}.row", names), ref.buffer.width)
            copies.append(Sum((copy,), (Add(ref),)))
            states.append(copy.here)
    return copies, tuple(states)


def _here(ref: Ref) -> bool:
    return (ref.dy, ref.dx) == (0, 0)


def _fresh(name: str, names: set[str]) -> str:
    """A name that no buffer has yet; it is taken from now on."""
    while name in names:
        name += "'"
    names.add(name)
    return name
