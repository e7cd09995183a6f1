"""The epilogues of a sum as nodes, one translation each; see the table of `Sum`.

A translation asks for the columns of the pre-activations that it wants side by side: what goes
through one activation is one product, which ONNX Runtime fuses with the activation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from genfast.exporting.terms import WHOLE, Columns, chain
from genfast.program import Sum
from genfast.program.instructions import Epilogue

if TYPE_CHECKING:
    from genfast.exporting.site import Site

__all__ = ["EPILOGUES", "translate"]


def translate(site: Site, instruction: Sum) -> None:
    """Adds the nodes of a sum and says what its targets are."""
    values = EPILOGUES[instruction.epilogue](site, instruction)
    for target, value in zip(instruction.targets, values, strict=True):
        site.values[target.name] = value


def _none(site: Site, s: Sum) -> tuple[str, ...]:
    return (_activations(site, s, WHOLE, site.next_name(s.targets[0])),)


def _activation(operator: str) -> Callable[[Site, Sum], tuple[str, ...]]:
    """y = f(a)."""

    def translation(site: Site, s: Sum) -> tuple[str, ...]:
        a = _activations(site, s, WHOLE, "a")
        return (site.nodes.add(operator, a, name=site.next_name(s.targets[0])),)

    return translation


def _gate(site: Site, s: Sum) -> tuple[str, ...]:
    """y = tanh(a0) * s(a1)."""
    g, target = site.nodes, s.targets[0]
    a0, a1 = (_activations(site, s, (block,), "a") for block in _blocks(s, 2))
    return (g.add("Mul", g.add("Tanh", a0), g.add("Sigmoid", a1), name=site.next_name(target)),)


def _lstm(site: Site, s: Sum) -> tuple[str, ...]:
    """c = s(f) c' + s(i) tanh(g), h = s(o) tanh(c)."""
    nodes, (h, c) = site.nodes, s.targets
    i, f, g, o = _blocks(s, 4)
    ifo = nodes.add("Sigmoid", _activations(site, s, (i, f, o), f"{h.name}.ifo"))
    new = nodes.add("Tanh", _activations(site, s, (g,), f"{h.name}.g"))
    i_, f_, o_ = nodes.split(ifo, *(f"{h.name}.{gate}" for gate in "ifo"))
    kept, added = nodes.add("Mul", f_, site.read(s.states[0])), nodes.add("Mul", i_, new)
    cell = nodes.add("Add", kept, added, name=site.next_name(c))
    return nodes.add("Mul", o_, nodes.add("Tanh", cell), name=site.next_name(h)), cell


def _gru(site: Site, s: Sum) -> tuple[str, ...]:
    """r, z = s(a + rec), n = tanh(a2 + r rec2), h = n + z (h' - n).

    Where nothing else reads the recurrent part, its first two gates are one chain with the sum's.
    """
    nodes, h = site.nodes, s.targets[0]
    r, z, n = _blocks(s, 3)
    rec_terms, rec_bias = site.unfolded(s.states[0])
    biases = [bias for bias in (s.bias, rec_bias) if bias is not None]
    both = sum(biases[1:], biases[0]) if biases else None
    rz = chain(site, (*s.terms, *rec_terms), both, (r, z), f"{h.name}.rz")
    r_, z_ = nodes.split(nodes.add("Sigmoid", rz), f"{h.name}.r", f"{h.name}.z")
    rec = chain(site, rec_terms, rec_bias, (n,), f"{h.name}.rec")
    a = _activations(site, s, (n,), f"{h.name}.n")
    new = nodes.add("Tanh", nodes.add("Add", a, nodes.add("Mul", r_, rec)))
    moved = nodes.add("Mul", z_, nodes.add("Sub", site.read(s.states[1]), new))
    return (nodes.add("Add", new, moved, name=site.next_name(h)),)


EPILOGUES: dict[Epilogue, Callable[[Site, Sum], tuple[str, ...]]] = {
    "none": _none,
    "relu": _activation("Relu"),
    "tanh": _activation("Tanh"),
    "sigmoid": _activation("Sigmoid"),
    "gate": _gate,
    "lstm": _lstm,
    "gru": _gru,
}


def _activations(site: Site, s: Sum, columns: Columns, name: str) -> str:
    return chain(site, s.terms, s.bias, columns, name)


def _blocks(s: Sum, count: int) -> list[range]:
    """The columns of each gate."""
    return [range(k * s.units, (k + 1) * s.units) for k in range(count)]
