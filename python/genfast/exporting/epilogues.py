"""The epilogues of a sum as nodes, one translation each; see the table of `Sum`.

A translation asks for the columns of the pre-activations that it wants side by side: what goes
through one activation is one product, which ONNX Runtime fuses with the activation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from genfast.exporting.terms import WHOLE, Columns, chain
from genfast.program import Mat, Sum
from genfast.program.instructions import Epilogue

if TYPE_CHECKING:
    from genfast.exporting.place import Place

__all__ = ["EPILOGUES", "translate"]


def translate(place: Place, instruction: Sum) -> None:
    """Adds the nodes of a sum and says what its targets are."""
    values = EPILOGUES[instruction.epilogue](place, instruction)
    for target, value in zip(instruction.targets, values, strict=True):
        place.values[target.name] = value


def _none(place: Place, s: Sum) -> tuple[str, ...]:
    return (_activations(place, s, WHOLE, place.next_name(s.targets[0])),)


def _activation(operator: str) -> Callable[[Place, Sum], tuple[str, ...]]:
    """y = f(a)."""

    def translation(place: Place, s: Sum) -> tuple[str, ...]:
        a = _activations(place, s, WHOLE, "a")
        return (place.nodes.add(operator, a, name=place.next_name(s.targets[0])),)

    return translation


def _gate(place: Place, s: Sum) -> tuple[str, ...]:
    """y = tanh(a0) * s(a1)."""
    g, target = place.nodes, s.targets[0]
    if any(isinstance(term, Mat) for term in s.terms):
        a0, a1 = (_activations(place, s, (block,), "a") for block in _blocks(s, 2))
    else:
        a0, a1 = g.split(_activations(place, s, WHOLE, "a"), "a0", "a1")
    return (g.add("Mul", g.add("Tanh", a0), g.add("Sigmoid", a1), name=place.next_name(target)),)


def _lstm(place: Place, s: Sum) -> tuple[str, ...]:
    """c = s(f) c' + s(i) tanh(g), h = s(o) tanh(c)."""
    nodes, (h, c) = place.nodes, s.targets
    i, f, g, o = _blocks(s, 4)
    ifo = nodes.add("Sigmoid", _activations(place, s, (i, f, o), f"{h.name}.ifo"))
    new = nodes.add("Tanh", _activations(place, s, (g,), f"{h.name}.g"))
    i_, f_, o_ = nodes.split(ifo, *(f"{h.name}.{gate}" for gate in "ifo"))
    kept, added = nodes.add("Mul", f_, place.read(s.states[0])), nodes.add("Mul", i_, new)
    cell = nodes.add("Add", kept, added, name=place.next_name(c))
    return nodes.add("Mul", o_, nodes.add("Tanh", cell), name=place.next_name(h)), cell


def _gru(place: Place, s: Sum) -> tuple[str, ...]:
    """r, z = s(a + rec), n = tanh(a2 + r rec2), h = n + z (h' - n).

    Where nothing else reads the recurrent part, its first two gates are one chain with the sum's.
    """
    nodes, h = place.nodes, s.targets[0]
    r, z, n = _blocks(s, 3)
    rec_terms, rec_bias = place.unfolded(s.states[0])
    biases = [bias for bias in (s.bias, rec_bias) if bias is not None]
    both = sum(biases[1:], biases[0]) if biases else None
    rz = chain(place, (*s.terms, *rec_terms), both, (r, z), f"{h.name}.rz")
    r_, z_ = nodes.split(nodes.add("Sigmoid", rz), f"{h.name}.r", f"{h.name}.z")
    rec = chain(place, rec_terms, rec_bias, (n,), f"{h.name}.rec")
    a = _activations(place, s, (n,), f"{h.name}.n")
    new = nodes.add("Tanh", nodes.add("Add", a, nodes.add("Mul", r_, rec)))
    moved = nodes.add("Mul", z_, nodes.add("Sub", place.read(s.states[1]), new))
    return (nodes.add("Add", new, moved, name=place.next_name(h)),)


EPILOGUES: dict[Epilogue, Callable[[Place, Sum], tuple[str, ...]]] = {
    "none": _none,
    "relu": _activation("Relu"),
    "tanh": _activation("Tanh"),
    "sigmoid": _activation("Sigmoid"),
    "gate": _gate,
    "lstm": _lstm,
    "gru": _gru,
}


def _activations(place: Place, s: Sum, columns: Columns, name: str) -> str:
    return chain(place, s.terms, s.bias, columns, name)


def _blocks(s: Sum, count: int) -> list[range]:
    """The columns of each gate."""
    return [range(k * s.units, (k + 1) * s.units) for k in range(count)]
