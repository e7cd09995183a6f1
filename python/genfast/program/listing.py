"""Printing a program: what runs when, what is kept, what each instruction costs."""

from __future__ import annotations

from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING

from genfast.program.buffers import Buffer
from genfast.program.cost import multiply_adds, term_weight, weight_bytes
from genfast.program.instructions import PHASES, Draw, Instruction, Look, Phase, Sum, Term
from genfast.program.mixture import mixture_parameters

if TYPE_CHECKING:
    from genfast.program.program import Program

#: One line of code: its left half, bytes of its weights, its multiply-adds.
Row = tuple[str, int, int]


def listing(program: Program) -> str:
    """The program as text: header, inputs, kept buffers, then the code of each phase.

    `T17x64[x]` is a row of a table, `W64x32 v0` a matrix product, `b64` a bias. Taps of one sum on
    one buffer stand together, `x{21 taps -3,-3..-1,+3}`: how many, and the first and last offset
    (rows,columns). On the right stand the bytes of the weights and the multiply-adds of one site.
    """
    width = max(len(_targets(i)) for i in program.instructions)
    rows = [row for phase in PHASES for row in _block(program, phase, width)]
    return "\n".join([*_header(program), *_inputs(program), *_kept(program), *_aligned(rows)])


def _aligned(rows: list[Row]) -> list[str]:
    """Rows as lines, their figures right-aligned; 0 is left blank but in totals."""
    code = max(len(row[0]) for row in rows)
    sizes, adds = ([f"{row[i]:,}" for row in rows] for i in (1, 2))
    size_width, adds_width = max(map(len, sizes)), max(map(len, adds))
    lines = []
    for row, size, add in zip(rows, sizes, adds, strict=True):
        total = row[0].endswith(":")
        left = f"{size if total or row[1] else '':>{size_width}}{' bytes' if total else '':<6}"
        right = f"{add if total or row[2] else '':>{adds_width}}{' multiply-adds' if total else ''}"
        lines.append(f"{row[0]:<{code}}    {left}  {right}".rstrip())
    return lines


def _header(program: Program) -> list[str]:
    site = "site" if program.shape is None else "pixel"
    shape = "" if program.shape is None else " {}x{}".format(*program.shape)
    count = len(program.instructions) - len(program.inputs)
    return [
        f"program: order {program.order}{shape}, {_count(count, 'instruction')}, "
        f"{_count(program.draws, 'draw')} a {site}, {program.weight_bytes:,} bytes of weights",
        f"  cost  {program.multiply_adds:,} multiply-adds a {site}",
    ]


def _inputs(program: Program) -> list[str]:
    return [f"  input {i.target.name}  {_kind(i.target)}  {i.phase}" for i in program.inputs]


def _kept(program: Program) -> list[str]:
    """What outlives its site: the state."""
    buffers = []
    for buffer in program.buffers:
        reach = program.reach[buffer.name]
        if reach.kept:
            rows = f" {_count(reach.rows, 'row')}" if reach.rows else ""
            columns = f" {_count(reach.columns, 'col')}" if reach.columns else ""
            outside = f" outside={buffer.vocabulary}" if buffer.kind == "sym" else ""
            buffers.append(f"{buffer.name} {_kind(buffer)}{rows}{columns}{outside}")
    text = ", ".join(buffer.replace(" ", "\0") for buffer in buffers)
    wrapped = fill(text, 100, initial_indent="  kept  ", subsequent_indent="        ")
    return [wrapped.replace("\0", " ")] if buffers else []


def _block(program: Program, phase: Phase, width: int) -> list[Row]:
    """The code of one phase under a row that totals it; nothing for a phase without code."""
    rows: list[Row] = []
    for place, instruction in enumerate(program.instructions[len(program.inputs) :]):
        if program.phases[place + len(program.inputs)] == phase:
            code = f"{place:>5} {_targets(instruction):<{width}} = {_value(instruction)}"
            rows.append((code, weight_bytes(instruction), multiply_adds(instruction)))
    total = (f"{phase}:", sum(row[1] for row in rows), sum(row[2] for row in rows))
    return [total, *rows] if rows else []


def _value(instruction: Instruction) -> str:
    if isinstance(instruction, Draw):
        uniforms = _count(instruction.draws, "uniform")
        return f"draw {instruction.head}({instruction.ref}{_mixture(instruction)})   {uniforms}"
    assert isinstance(instruction, Sum)
    grouped = [list(group) for _, group in groupby(instruction.terms, key=_alike)]
    parts = [_taps(group) for group in grouped]
    parts += [] if instruction.bias is None else [f"b{instruction.bias.size}"]
    states = "".join(f"{'; ' if i == 0 else ', '}{r}" for i, r in enumerate(instruction.states))
    chain = " + ".join(parts) + states
    return chain if instruction.epilogue == "none" else f"{instruction.epilogue}({chain})"


def _mixture(draw: Draw) -> str:
    """How many components a draw mixes, where it does."""
    if draw.head == "categorical":
        return ""
    components = draw.ref.buffer.width // mixture_parameters(len(draw.targets))
    return f"; {_count(components, 'component')}"


def _alike(term: Term) -> tuple[object, ...]:
    """Terms of one key are the taps of one convolution."""
    weight = term_weight(term)
    return type(term), term.ref.buffer, None if weight is None else weight.shape


def _taps(terms: list[Term]) -> str:
    where = str(terms[0].ref)
    if len(terms) > 1:
        offsets = sorted((term.ref.dy, term.ref.dx) for term in terms)
        first, last = (f"{dy:+d},{dx:+d}" for dy, dx in (offsets[0], offsets[-1]))
        where = f"{terms[0].ref.buffer.name}{{{len(terms)} taps {first}..{last}}}"
    weight = term_weight(terms[0])
    if weight is None:
        return where
    shape = "{}x{}".format(*weight.shape)
    return f"T{shape}[{where}]" if isinstance(terms[0], Look) else f"W{shape} {where}"


def _targets(instruction: Instruction) -> str:
    return ", ".join(target.name for target in instruction.targets)


def _kind(buffer: Buffer) -> str:
    return f"{buffer.kind}[{buffer.width}]"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
