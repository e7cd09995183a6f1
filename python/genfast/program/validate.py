"""What a program must be before anything looks at its phases: names, kinds, shapes, weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from genfast.program.buffers import Buffer, Ref
from genfast.program.cost import weights
from genfast.program.instructions import GATES, Add, Draw, Head, Input, Look, Mat, Sum, Term
from genfast.program.mixture import mixture_parameters

if TYPE_CHECKING:
    from genfast.program.program import Program

# Channels of a pixel that the kernels have room for.
_MOST_CHANNELS = 16


def check_program(program: Program) -> None:
    """Raise ValueError for a program that no order of execution could run."""
    _check_order(program)
    for place in range(len(program.instructions)):
        _check_types(program, place)
    if not any(isinstance(instruction, Draw) for instruction in program.instructions):
        raise ValueError("Program: instructions must hold at least one Draw, got none")
    written = _check_targets(program)
    for place, instruction in enumerate(program.instructions):
        where = label(program, place)
        if isinstance(instruction, Sum):
            _check_sum(where, instruction)
        elif isinstance(instruction, Draw):
            _check_draw(where, instruction)
        elif instruction.phase not in ("start", "row"):
            raise ValueError(
                f"Program: {where}: phase must be 'start' or 'row', got {instruction.phase!r}"
            )
        for ref in instruction.refs:
            _check_ref(program, where, ref, written)


def check_finite(program: Program) -> None:
    """Raise ValueError for NaN or infinite weights: no draw survives them."""
    for place, instruction in enumerate(program.instructions):
        for array in weights(instruction):
            bad = array.size - np.count_nonzero(np.isfinite(array))
            if bad:
                raise ValueError(
                    f"Program: {label(program, place)}: weights must be finite, got {bad} NaN or "
                    f"infinite of the {array.size} in {_describe(array)}"
                )


def label(program: Program, place: int) -> str:
    """How messages call an instruction: by its number in the listing and what it writes."""
    instruction = program.instructions[place]
    names = ", ".join(target.name for target in instruction.targets)
    if isinstance(instruction, Input):
        return f"input {names}"
    return f"instruction {place - len(program.inputs)} ({names})"


def _check_order(program: Program) -> None:
    order, shape = program.order, program.shape
    if order not in ("sequence", "raster"):
        raise ValueError(f"Program: order must be 'sequence' or 'raster', got {order!r}")
    if order == "sequence" and shape is not None:
        raise ValueError(f"Program: shape must be None for a sequence, got {shape}")
    if order == "raster" and (shape is None or len(shape) != 2 or min(shape) < 1):
        raise ValueError(
            f"Program: shape must be (rows, columns), both at least 1, for a raster, got {shape}"
        )


def _check_types(program: Program, place: int) -> None:
    instruction = program.instructions[place]
    if not isinstance(instruction, (Input, Sum, Draw)):
        raise ValueError(
            f"Program: instructions must be Input, Sum or Draw, got "
            f"{type(instruction).__name__} at place {place}"
        )
    if isinstance(instruction, Draw) and not isinstance(instruction.targets, tuple):
        raise ValueError(
            f"Program: targets of a Draw must be a tuple of symbols, got "
            f"{type(instruction.targets).__name__} at place {place}"
        )
    for term in instruction.terms if isinstance(instruction, Sum) else ():
        if not isinstance(term, (Mat, Look, Add)):
            raise ValueError(
                f"Program: {label(program, place)}: terms must be Mat, Look or Add, got "
                f"{type(term).__name__}"
            )


def _check_targets(program: Program) -> dict[str, Buffer]:
    """Every buffer by name; each has one writer, and one name means one buffer."""
    written: dict[str, Buffer] = {}
    writers: dict[str, str] = {}
    for place, instruction in enumerate(program.instructions):
        where = label(program, place)
        for target in instruction.targets:
            if target.name in written:
                same = written[target.name] == target
                what = "is written already" if same else "is the name of another buffer, written"
                raise ValueError(
                    f"Program: {where}: {target.name} {what} by {writers[target.name]}"
                )
            written[target.name] = target
            writers[target.name] = where
    return written


def _check_ref(program: Program, where: str, ref: Ref, written: dict[str, Buffer]) -> None:
    name = ref.buffer.name
    if name not in written:
        raise ValueError(f"Program: {where}: reads {ref}, but no instruction writes {name}")
    if written[name] != ref.buffer:
        raise ValueError(
            f"Program: {where}: reads {ref} as {_kind(ref.buffer)}, but {name} is written as "
            f"{_kind(written[name])}"
        )
    if program.order == "sequence" and ref.dy != 0:
        raise ValueError(f"Program: {where}: a sequence has one row, got {ref} in another")


def _check_sum(where: str, instruction: Sum) -> None:
    epilogue = instruction.epilogue
    if epilogue not in GATES:
        raise ValueError(f"Program: {where}: epilogue must be in {list(GATES)}, got {epilogue!r}")
    count = 2 if epilogue == "lstm" else 1
    if len(instruction.targets) != count:
        raise ValueError(
            f"Program: {where}: {epilogue} must have {count} targets, got "
            f"{len(instruction.targets)}"
        )
    for target in instruction.targets:
        _check_f32(where, f"target {target.name}", target, instruction.units)
    if not instruction.terms and instruction.bias is None:
        raise ValueError(f"Program: {where}: a sum must have a term or a bias, got neither")
    if instruction.bias is not None:
        _check_array(where, "bias", instruction.bias, (instruction.width,))
    for term in instruction.terms:
        _check_term(where, term, instruction.width)
    _check_states(where, instruction)


def _check_states(where: str, instruction: Sum) -> None:
    units = instruction.units
    widths = {"lstm": (units,), "gru": (3 * units, units)}.get(instruction.epilogue, ())
    if len(instruction.states) != len(widths):
        raise ValueError(
            f"Program: {where}: {instruction.epilogue} must have {len(widths)} states, got "
            f"{len(instruction.states)}"
        )
    for ref, width in zip(instruction.states, widths, strict=True):
        _check_f32(where, f"state {ref}", ref.buffer, width)


def _check_term(where: str, term: Term, width: int) -> None:
    buffer = term.ref.buffer
    if isinstance(term, Mat):
        _check_f32(where, f"Mat input {term.ref}", buffer, buffer.width)
        _check_array(where, f"Mat weight for {term.ref}", term.weight, (width, buffer.width))
    elif isinstance(term, Look):
        if buffer.kind != "sym":
            raise ValueError(
                f"Program: {where}: Look input {term.ref} must be a symbol, got {_kind(buffer)}"
            )
        shape = (buffer.vocabulary + 1, width)
        _check_array(where, f"Look table for {term.ref}", term.table, shape)
    else:
        _check_f32(where, f"Add input {term.ref}", buffer, width)


def _check_draw(where: str, instruction: Draw) -> None:
    targets, ref = instruction.targets, instruction.ref
    if instruction.head not in _HEADS:
        raise ValueError(
            f"Program: {where}: head must be in {list(_HEADS)}, got {instruction.head!r}"
        )
    for target in targets:
        if target.kind != "sym":
            raise ValueError(f"Program: {where}: target must be a symbol, got {_kind(target)}")
    _HEADS[instruction.head](where, instruction)
    if (ref.dy, ref.dx) != (0, 0):
        raise ValueError(f"Program: {where}: scores must be those of this site, got {ref}")


def _check_categorical(where: str, instruction: Draw) -> None:
    if len(instruction.targets) != 1:
        raise ValueError(
            f"Program: {where}: a categorical draw must have 1 target, "
            f"got {len(instruction.targets)}"
        )
    if instruction.draws != 1:
        raise ValueError(
            f"Program: {where}: a categorical draw uses 1 uniform, got {instruction.draws}"
        )
    ref = instruction.ref
    _check_f32(where, f"scores {ref}", ref.buffer, instruction.target.vocabulary)


def _check_mixture(where: str, instruction: Draw) -> None:
    channels, buffer = len(instruction.targets), instruction.ref.buffer
    if not 1 <= channels <= _MOST_CHANNELS:
        raise ValueError(
            f"Program: {where}: a logistic_mixture draw must have 1 to {_MOST_CHANNELS} targets, "
            f"got {channels}"
        )
    if instruction.draws != 1 + channels:
        raise ValueError(
            f"Program: {where}: a logistic_mixture draw of {channels} targets uses "
            f"{1 + channels} uniforms, got {instruction.draws}"
        )
    levels = sorted({target.vocabulary for target in instruction.targets})
    if len(levels) > 1 or levels[0] < 2:
        raise ValueError(
            f"Program: {where}: targets must have the same vocabulary, at least 2, got {levels}"
        )
    each = mixture_parameters(channels)
    if buffer.kind != "f32" or buffer.width % each:
        raise ValueError(
            f"Program: {where}: scores {instruction.ref} must be f32[K * {each}], K components of "
            f"a logit, {channels} means, {channels} log-scales and {each - 1 - 2 * channels} "
            f"couplings, got {_kind(buffer)}"
        )


_HEADS: dict[Head, Callable[[str, Draw], None]] = {
    "categorical": _check_categorical,
    "logistic_mixture": _check_mixture,
}


def _check_f32(where: str, what: str, buffer: Buffer, width: int) -> None:
    if buffer.kind != "f32" or buffer.width != width:
        raise ValueError(f"Program: {where}: {what} must be f32[{width}], got {_kind(buffer)}")


def _check_array(where: str, what: str, array: object, shape: tuple[int, ...]) -> None:
    fits = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == shape
    if not fits:
        raise ValueError(
            f"Program: {where}: {what} must be a float32 array {shape}, got {_describe(array)}"
        )


def _describe(array: object) -> str:
    if isinstance(array, np.ndarray):
        return f"{array.dtype} {array.shape}"
    return type(array).__name__


def _kind(buffer: Buffer) -> str:
    return f"{buffer.kind}[{buffer.vocabulary if buffer.kind == 'sym' else buffer.width}]"
