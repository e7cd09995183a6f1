"""Programs: a model's step, head and state as typed instructions over named buffers.

    x, e, h = symbol("x", 65), Buffer("e", 32), Buffer("h", 128)
    program = Program("sequence", [Sum((e,), (Look(table, x[0, -1]),)), ...])
    print(program.optimized())

`Program` has the rules and the passes, `instructions` what there is to say.
"""

from genfast.program.buffers import Buffer, Ref, symbol
from genfast.program.instructions import Add, Draw, Input, Instruction, Look, Mat, Phase, Sum, Term
from genfast.program.interpreter import Drawn, interpret
from genfast.program.program import Program

__all__ = [
    "Add",
    "Buffer",
    "Draw",
    "Drawn",
    "Input",
    "Instruction",
    "Look",
    "Mat",
    "Phase",
    "Program",
    "Ref",
    "Sum",
    "Term",
    "interpret",
    "symbol",
]
