"""Folding tables into the matrices that read them: what is looked up is not multiplied.

    e = T[x]          h = W e + ...      becomes      h = (T W')[x] + ...

Only the edges of the image need care, see `_folded`; and large tables do not pay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from genfast.program.buffers import Buffer, Ref
from genfast.program.cost import weight_bytes
from genfast.program.instructions import Array, Instruction, Look, Mat, Sum, Term

if TYPE_CHECKING:
    from genfast.program.program import Program

Product: TypeAlias = Callable[[Array, Any, Any, Array], Array | None]

#: The folded tables of one look-up may always take this much together: they stay in the cache.
CHEAP_BYTES = 1 << 20
#: The same of a look-up of one number, such as a pixel: reading a row of a folded table saves a
#: single multiply-add an element, which its way from the second cache costs again.
CHEAP_BYTES_OF_A_NUMBER = 1 << 17


def fold(program: Program) -> Program:
    """The same program with look-ups folded into the matrices that read them, where it pays.

    A sum folds when it is one `Look`, with or without a bias, and no epilogue. It stays for what
    reads it otherwise. Tables are multiplied in float64 and rounded once.
    """
    instructions = list(program.instructions)
    for source in program.instructions:
        if isinstance(source, Sum) and _is_table(source):
            # Sizes first: the product of a table that stays as it is may take seconds.
            if not _pays(source, _folds(source, instructions, _no_product), instructions):
                continue
            folds = _folds(source, instructions, _product)
            if _pays(source, folds, instructions):
                instructions = [_replaced(instruction, folds) for instruction in instructions]
    return program.rewritten(instructions)


def _is_table(instruction: Sum) -> bool:
    terms = instruction.terms
    return instruction.epilogue == "none" and len(terms) == 1 and isinstance(terms[0], Look)


def _folds(source: Sum, instructions: list[Instruction], product: Product) -> dict[Term, Term]:
    """Each matrix that can take up the table of `source`, to the look-up that replaces it."""
    mats = [
        term
        for reader in instructions
        if isinstance(reader, Sum)
        for term in reader.terms
        if isinstance(term, Mat) and term.ref.buffer == source.targets[0]
    ]
    looks = {mat: _folded(source, mat, product) for mat in mats}
    return {mat: look for mat, look in looks.items() if look is not None}


def _folded(source: Sum, mat: Mat, product: Product) -> Look | None:
    """The table of `source` read through `mat`; None where an edge of the image forbids it.

    The matrix reads e at an offset, `outer`, and e reads the symbol at one more, `inner`. Outside
    the image e is 0, whatever the symbol's border row says, and the folded look-up sees only where
    both offsets together lead. So the border row of the folded table must be

    - 0, where inner is (0, 0): e and the symbol leave the image together;
    - T[V] W', where outer is (0, 0): e never leaves it;
    - both at once otherwise, so T[V] must be 0, and no offset may lead back into the image.
    """
    (look,) = source.terms
    assert isinstance(look, Look)
    bias = np.float64(0) if source.bias is None else source.bias.astype(np.float64)
    border = look.table[-1] + bias
    inner, outer = (look.ref.dy, look.ref.dx), (mat.ref.dy, mat.ref.dx)
    if outer != (0, 0):
        leads_back = inner[0] * outer[0] < 0 or inner[1] * outer[1] < 0
        if inner != (0, 0) and (leads_back or border.any()):
            return None
        border = np.zeros_like(border)
    table = product(look.table[:-1], bias, border, mat.weight)
    ref = Ref(look.ref.buffer, inner[0] + outer[0], inner[1] + outer[1])
    return None if table is None else Look(table, ref)


def _product(rows: Array, bias: Any, border: Any, weight: Array) -> Array | None:
    """(rows + bias, then border) times the weight, in float64; None where float32 is too small."""
    table = np.concatenate([rows + bias, border[None]])
    with np.errstate(over="ignore"):
        rounded = (table @ weight.astype(np.float64).T).astype(np.float32)
    return rounded if np.isfinite(rounded).all() else None


def _no_product(rows: Array, bias: Any, border: Any, weight: Array) -> Array:
    """As large as `_product`, and nothing in it."""
    return np.broadcast_to(np.float32(0), (len(rows) + 1, len(weight)))


def _pays(source: Sum, folds: dict[Term, Term], instructions: list[Instruction]) -> bool:
    """Whether the folded tables are small, or smaller than the weights they replace."""
    rest = [_replaced(instruction, folds) for instruction in instructions]
    if not _reads(rest, source.targets[0]):
        rest.remove(source)
    before = sum(weight_bytes(instruction) for instruction in instructions)
    tables = sum(look.table.nbytes for look in folds.values() if isinstance(look, Look))
    cheap = CHEAP_BYTES_OF_A_NUMBER if source.units == 1 else CHEAP_BYTES
    return tables <= cheap or sum(weight_bytes(instruction) for instruction in rest) <= before


def _reads(instructions: list[Instruction], buffer: Buffer) -> bool:
    return any(ref.buffer == buffer for instruction in instructions for ref in instruction.refs)


def _replaced(instruction: Instruction, folds: dict[Term, Term]) -> Instruction:
    if not isinstance(instruction, Sum) or not any(term in folds for term in instruction.terms):
        return instruction
    return replace(instruction, terms=tuple(folds.get(term, term) for term in instruction.terms))
