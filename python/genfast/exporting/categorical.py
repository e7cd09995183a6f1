"""The categorical draw as nodes: temperature, kept set, running sums, and the class of a uniform.

The draw is the lowest class whose running sum S_c of weights is at least u, u in (0, 1), and where
rounding leaves none, the first of the highest sum. Both are one search, for the first minimum of

    E_c = max(u - S_c, 0)        0 from the drawn class on; where it never is, least at the highest
                                 class of any weight, for classes without weight add nothing

That is the contract but for rounding: weights are divided by their total, so u stands for u times
the total; and `u <= S_c` for `u < S_c`, which differ only where S_c is u to the bit. A class of no
weight is never drawn, whatever u is:

- S_c = S_(c-1) to the bit, so E_c = E_(c-1) and the first minimum is not at c, if c > 0. (Running
  sums: adding 0 changes nothing. By a triangle: both sums are chains over the same products, for
  the one at c is 0 either way.)
- class 0 has S_0 = 0 < u, so E_0 = u > 0, above the minimum. For that u = 0 is made `LEAST`.

Temperature 0 is a temperature so low that all but the best classes have no weight, and u = `LEAST`,
which the lowest of them exceeds: it has at least a share of 1 / classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import TensorProto

from genfast.exporting.chance import Asked, Chance, Part
from genfast.exporting.nodes import FLOAT, INT64, Nodes
from genfast.program import Draw
from genfast.program.instructions import Array

__all__ = [
    "COLDEST",
    "LEAST",
    "Options",
    "choose",
    "column",
    "draw",
    "opened",
    "prepared",
    "ready",
]

#: Stands for a uniform of 0: below the share of a class that can be told from none, and below every
#: other uniform, 2**-24 being the next.
LEAST = 2.0**-64
#: Stands for temperature 0: scores up to 1e13 stay finite, and classes that lie 1e-23 or more below
#: the best have no weight.
COLDEST = 1e-25
# More classes than this sum up one after the other, which is faster from some 150 on.
_MOST_BY_TRIANGLE = 128


@dataclass(frozen=True)
class Options:
    """What bends a draw, as names of values that are ready for it.

    Args:
        uniform: float32 (N, 1) in (0, 1).
        temperature: float32 (N, 1), positive.
        nothing: float32 (N, classes) of -inf; needed where a set is kept.
        top_k: How many classes are kept, or int64 (N, 1), or None for all.
        top_p: Of which mass, or float32 (N, 1), or None for all of it.
    """

    uniform: str
    temperature: str
    nothing: str = ""
    top_k: int | str | None = None
    top_p: float | str | None = None


def opened(nodes: Nodes, uniform: str, temperature: str) -> str:
    """Uniforms in [0, 1) as ones in (0, 1), `LEAST` at temperature 0; of the shapes' own broadcast.

    A uniform is a multiple of 2**-24: adding so little changes 0 alone.
    """
    greedy = nodes.add("Equal", temperature, nodes.constant(0.0))
    least = nodes.constant(LEAST, name="least")
    return nodes.add("Where", greedy, least, nodes.add("Add", uniform, least))


def column(nodes: Nodes, uniform: str, asked: Asked) -> str:
    """Uniforms (*sites, 1, N) of a draw ready for it, (*sites, N, 1)."""
    axis = nodes.integers(asked.axis)
    flat = opened(nodes, nodes.add("Squeeze", uniform, axis), asked.temperature)
    return nodes.add("Unsqueeze", flat, nodes.integers(asked.axis + 1), name="uniform_by_site")


def ready(nodes: Nodes, _: Draw, asked: Asked) -> Chance:
    """What a draw is given; see `genfast.exporting.heads.HeadNodes`."""
    given = nodes.add("Squeeze", asked.given, nodes.integers(asked.axis), name="given_by_site")
    is_drawn = nodes.add("Less", given, nodes.integers(0), name="is_drawn_by_site")
    return {
        "uniform": Part(column(nodes, asked.uniform, asked), FLOAT, ["batch", 1]),
        "given": Part(given, INT64, ["batch"]),
        "is_drawn": Part(is_drawn, TensorProto.BOOL, ["batch"]),
    }


def draw(
    nodes: Nodes, instruction: Draw, scores: str, chance: Mapping[str, str], options: Options
) -> list[str]:
    """The symbol of a site; see `genfast.exporting.heads.HeadNodes`."""
    options = replace(options, uniform=chance["uniform"])
    symbol = choose(nodes, scores, instruction.target.vocabulary, options)
    name = instruction.target.name
    return [nodes.add("Where", chance["is_drawn"], symbol, chance["given"], name=name)]


def prepared(
    nodes: Nodes,
    classes: int,
    batch: str,
    uniform: str,
    top_k: int | str | None,
    top_p: float | str | None,
) -> Options:
    """What an export was asked for, made ready outside of the loop.

    Reads the input `temperature`, and `top_k` and `top_p` where they are inputs.

    Args:
        nodes: The outermost graph.
        classes: How many.
        batch: int64 (1), N.
        uniform: What `opened` gave.
        top_k: Best classes kept, "input", or None for all.
        top_p: Mass kept, "input", or None for all.
    """
    temperature = nodes.add("Max", "temperature", nodes.constant(COLDEST, name="coldest"))
    k, p = _top_k(nodes, classes, top_k), _top_p(nodes, top_p)
    if k is None and p is None:
        return Options(uniform, temperature)
    shape = nodes.add("Concat", batch, nodes.integers(classes), axis=0)
    nothing = nodes.add("Expand", nodes.constant(-np.inf, name="nothing"), shape)
    return Options(uniform, temperature, nothing, k, p)


def _top_k(nodes: Nodes, classes: int, k: int | str | None) -> int | str | None:
    """0 is off, as is what keeps every class."""
    if k == "input":
        off = nodes.add("Equal", "top_k", nodes.integers(0))
        return nodes.add("Where", off, nodes.integers(classes), "top_k", name="kept_classes")
    return k if k and int(k) < classes else None


def _top_p(nodes: Nodes, p: float | str | None) -> float | str | None:
    """1 is off; as a limit 2, which no mass before a class reaches, however it is rounded."""
    if p == "input":
        off = nodes.add("GreaterOrEqual", "top_p", nodes.constant(1.0))
        return nodes.add("Where", off, nodes.constant(2.0), "top_p", name="kept_mass")
    return None if p is None or float(p) >= 1 else p


def choose(nodes: Nodes, scores: str, classes: int, options: Options, keepdims: int = 0) -> str:
    """A symbol of every row, int64 (N) or (N, 1).

    Args:
        nodes: Where the nodes go.
        scores: float32 (N, classes).
        classes: How many.
        options: Uniform, temperature and what is kept.
        keepdims: 1 for (N, 1).
    """
    tempered = nodes.add("Div", scores, options.temperature, name="tempered")
    if options.top_k is not None or options.top_p is not None:
        tempered = _kept(nodes, tempered, classes, options)
    shares = nodes.add("Softmax", tempered, axis=1, name="shares")
    if classes <= _MOST_BY_TRIANGLE:
        triangle = nodes.weight(("triangle", classes), lambda: _triangle(classes), "triangle")
        above = nodes.add("Gemm", shares, triangle, options.uniform, name="above")
    else:
        sums = nodes.add("CumSum", shares, nodes.constant(1, np.int64, "axis"), name="sums")
        above = nodes.add("Sub", options.uniform, sums, name="above")
    above = nodes.add("Relu", above)
    return nodes.add("ArgMin", above, axis=1, keepdims=keepdims, name="drawn")


def _triangle(classes: int) -> Array:
    """(classes, classes): shares times this are their running sums, negative."""
    return -np.triu(np.ones((classes, classes), np.float32))


def _kept(nodes: Nodes, scores: str, classes: int, options: Options) -> str:
    """The scores, -inf where top-k and then top-p leave a class out.

    TopK sorts as the contract does: descending, equal scores by lower index first.
    """
    k, p = options.top_k, options.top_p
    count = k if isinstance(k, int) else classes
    outputs = ["sorted", "order"]
    ordered, order = nodes.many("TopK", [scores, nodes.integers(count)], outputs, axis=1)
    nothing = nodes.constant(-np.inf, name="nothing")
    if isinstance(k, str):
        ranks = nodes.weight(("ranks", classes), lambda: np.arange(classes)[None], "ranks")
        ordered = nodes.add("Where", nodes.add("Less", ranks, k), ordered, nothing)
    if p is not None:
        limit = p if isinstance(p, str) else nodes.constant(p, name="top_p")
        shares = nodes.add("Softmax", ordered, axis=1)
        before = nodes.add("CumSum", shares, nodes.constant(1, np.int64, "axis"), exclusive=1)
        ordered = nodes.add("Where", nodes.add("Less", before, limit), ordered, nothing)
    return nodes.add("ScatterElements", options.nothing, order, ordered, axis=1, name="kept")
