"""Lowering: a program written into the compiled core, instruction by instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genfast._extension import core
from genfast.program.buffers import Ref
from genfast.program.cost import term_weight
from genfast.program.instructions import Array, Draw, Phase, Sum, Term
from genfast.program.validate import label

if TYPE_CHECKING:
    from genfast.program.program import Program

CoreRef = tuple[int, int, int]


def lower(program: Program) -> core.Program:
    """The flat program of the compiled core, finished.

    Weights cross as they are, C-contiguous float32; the core packs copies of its own.

    Raises:
        ValueError: site code reads what `program.optimized()` would hoist out of it; or the core
            refuses the program.
    """
    _check_site_code(program)
    rows, columns = program.shape or (1, 0)
    flat = core.Program(program.order, rows, columns)
    numbers = {
        buffer.name: flat.buffer(buffer.name, buffer.width, buffer.kind, buffer.vocabulary)
        for buffer in program.buffers
    }
    for given in program.inputs:
        flat.input(numbers[given.target.name], given.phase)
    for instruction, phase in zip(program.instructions, program.phases, strict=True):
        if isinstance(instruction, Sum):
            _lower_sum(flat, instruction, phase, numbers)
        elif isinstance(instruction, Draw):
            targets = [numbers[target.name] for target in instruction.targets]
            flat.draw(phase, targets, instruction.head, _ref(instruction.ref, numbers))
    flat.finish()
    return flat


def _lower_sum(flat: core.Program, instruction: Sum, phase: Phase, numbers: dict[str, int]) -> None:
    flat.sum(
        phase,
        [numbers[target.name] for target in instruction.targets],
        instruction.epilogue,
        _contiguous(instruction.bias),
        [_term(term, numbers) for term in instruction.terms],
        [_ref(ref, numbers) for ref in instruction.states],
    )


def _term(term: Term, numbers: dict[str, int]) -> tuple[str, Array | None, CoreRef]:
    kind = type(term).__name__.lower()
    return kind, _contiguous(term_weight(term)), _ref(term.ref, numbers)


def _contiguous(array: Array | None) -> Array | None:
    return None if array is None else np.ascontiguousarray(array)


def _ref(ref: Ref, numbers: dict[str, int]) -> CoreRef:
    return numbers[ref.buffer.name], ref.dy, ref.dx


def _check_site_code(program: Program) -> None:
    """Site code reads early buffers where it stands, and its own row at dx <= 0."""
    for place, instruction in enumerate(program.instructions):
        if program.phases[place] != "site":
            continue
        for ref in instruction.refs:
            early = program.known(place, ref) != "site"
            if early and (ref.dy, ref.dx) != (0, 0):
                raise ValueError(
                    f"lower: {label(program, place)}: site code must read row buffers at its own "
                    f"column, got {ref}; lower program.optimized()"
                )
