"""The closed set of instructions: `Input`, `Sum` of terms, `Draw`.

A program is a list of these over named buffers. A convolution is several `Mat` terms on one
buffer, an embedding a `Look`, a residual an `Add`; every one of them is a term of a `Sum`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genfast.program.buffers import Buffer, Ref

Array = NDArray[np.float32]
Phase = Literal["start", "row", "site"]
Head = Literal["categorical", "logistic_mixture"]
Epilogue = Literal["none", "relu", "tanh", "sigmoid", "gate", "lstm", "gru"]

PHASES: tuple[Phase, ...] = ("start", "row", "site")

#: Pre-activations an epilogue takes for one unit that it defines.
GATES: dict[Epilogue, int] = {
    "none": 1,
    "relu": 1,
    "tanh": 1,
    "sigmoid": 1,
    "gate": 2,
    "lstm": 4,
    "gru": 3,
}


@dataclass(frozen=True, eq=False)
class Mat:
    """A matrix product: `weight @ ref`, weight float32 (out, in) with in the width of ref."""

    weight: Array
    ref: Ref


@dataclass(frozen=True, eq=False)
class Look:
    """A row of a table: `table[symbol]`, float32 (vocabulary + 1, out); the last is the border."""

    table: Array
    ref: Ref


@dataclass(frozen=True, eq=False)
class Add:
    """The value of ref itself, as wide as the sum's pre-activations."""

    ref: Ref


Term = Mat | Look | Add


@dataclass(frozen=True, eq=False)
class Sum:
    """`targets = epilogue(bias + terms; states)`.

    With `a` the pre-activations, bias + terms, of width `GATES[epilogue] * units`, s the logistic
    function and ' what a state holds from the site before:

    none                 y = a
    relu, tanh, sigmoid  y = f(a)
    gate                 y = tanh(a0) * s(a1)
    lstm                 targets h, c; states c[0,-1]; i, f, g, o = a
                         c = s(f) c' + s(i) tanh(g)
                         h = s(o) tanh(c)
    gru                  target h; states rec, h[0,-1]
                         r = s(a0 + rec0)
                         z = s(a1 + rec1)
                         n = tanh(a2 + r rec2)
                         h = n + z (h' - n)

    Gates stand one after the other, in torch's order. `rec`, three times as wide as h, is the
    recurrent part of a GRU, a sum of its own because r multiplies its third gate.

    Every element of `a` is ONE chain: bias, then the terms in order, each `Mat` in ascending k.
    """

    targets: tuple[Buffer, ...]
    terms: tuple[Term, ...]
    bias: Array | None = None
    epilogue: Epilogue = "none"
    states: tuple[Ref, ...] = ()

    @property
    def units(self) -> int:
        """Width of what is defined."""
        return self.targets[0].width

    @property
    def width(self) -> int:
        """Width of the pre-activations."""
        return GATES[self.epilogue] * self.units

    @property
    def refs(self) -> tuple[Ref, ...]:
        """Everything this instruction reads."""
        return tuple(term.ref for term in self.terms) + self.states


@dataclass(frozen=True, eq=False)
class Draw:
    """`targets = head(ref; uniforms)`: draws the symbols of a site, or one of them.

    categorical        one target; ref holds a score for each of its symbols
    logistic_mixture   the channels of a pixel, symbols of one vocabulary, the levels; ref holds the
                       parameters of `genfast.heads.LogisticMixture`, so its width says how many
                       components there are

    Args:
        targets: symbol buffers.
        ref: the head's parameters at this site.
        head: `"categorical"` or `"logistic_mixture"`.
        draws: uniforms that it owns: 1, or 1 + the number of targets.
    """

    targets: tuple[Buffer, ...]
    ref: Ref
    head: Head = "categorical"
    draws: int = field(default=1)

    @property
    def target(self) -> Buffer:
        """The one target of a draw of one symbol."""
        (target,) = self.targets
        return target

    @property
    def refs(self) -> tuple[Ref, ...]:
        return (self.ref,)


@dataclass(frozen=True, eq=False)
class Input:
    """`target` is given: known from the start (`"start"`) or ahead of each row (`"row"`)."""

    target: Buffer
    phase: Literal["start", "row"] = "start"

    @property
    def targets(self) -> tuple[Buffer, ...]:
        return (self.target,)

    @property
    def refs(self) -> tuple[Ref, ...]:
        return ()


Instruction = Sum | Draw | Input
