"""What an instruction costs: the weights it reads, the multiply-adds it makes."""

from __future__ import annotations

from genfast.program.instructions import Add, Array, Instruction, Mat, Sum, Term


def term_weight(term: Term) -> Array | None:
    """The matrix or table of a term; None for an `Add`."""
    if isinstance(term, Mat):
        return term.weight
    return None if isinstance(term, Add) else term.table


def weights(instruction: Instruction) -> tuple[Array, ...]:
    """The arrays an instruction holds: the bias, then those of its terms, in order."""
    if not isinstance(instruction, Sum):
        return ()
    arrays = (instruction.bias, *(term_weight(term) for term in instruction.terms))
    return tuple(array for array in arrays if array is not None)


def weight_bytes(instruction: Instruction) -> int:
    """Bytes of the weights of an instruction."""
    return sum(array.nbytes for array in weights(instruction))


def multiply_adds(instruction: Instruction) -> int:
    """Multiply-adds of an instruction at one site: the sizes of its matrices."""
    if not isinstance(instruction, Sum):
        return 0
    return sum(term.weight.size for term in instruction.terms if isinstance(term, Mat))
