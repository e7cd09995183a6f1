"""Latents in a graph: the normals of `genfast.random`, times a temperature."""

from __future__ import annotations

import math

from genfast.exporting import words
from genfast.exporting.nodes import Nodes

__all__ = ["latents"]


def latents(nodes: Nodes, width: int) -> str:
    """float32 (N, width) of the graph's inputs seed, index, temperature and truncation.

    Normals come in pairs of Box and Muller, of two uniforms u, v of a block each::

        r = sqrt(-2 log(1 - m u))    m = 1 - exp(-t^2 / 2)
        r cos(2 pi v), r sin(2 pi v)

    Args:
        nodes: Where the nodes go.
        width: Of a latent, at least 1.
    """
    blocks = (width + 1) // 2
    batch = nodes.add("Shape", "seed", start=0, end=1, name="batch_size")
    u, v = words.pairs(nodes, "seed", "index", blocks, batch)
    radius = _radius(nodes, nodes.add("Mul", _mass(nodes, "truncation"), u))
    angle = _angle(nodes, v)
    last = nodes.integers(2)
    sides = [
        nodes.add("Unsqueeze", nodes.add("Mul", radius, nodes.add(side, angle)), last)
        for side in ("Cos", "Sin")
    ]
    shape = nodes.add("Concat", batch, nodes.integers(2 * blocks), axis=0)
    normal = nodes.add("Reshape", nodes.add("Concat", *sides, axis=2), shape, name="normal")
    if width % 2:
        normal = nodes.columns(normal, [range(width)])
    return nodes.add("Mul", normal, "temperature", name="z")


def _mass(nodes: Nodes, radius: str) -> str:
    """m, the share of normal pairs within a circle: 1 of an infinite one.

    `1 - exp(-s)`, which of a small s is `2 tanh(s/2) / (1 + tanh(s/2))` without its cancellation.
    """
    square = nodes.add("Mul", radius, radius)
    one, two = nodes.constant(1.0), nodes.constant(2.0)
    inside = nodes.add("Tanh", nodes.add("Mul", square, nodes.constant(0.25)))
    small = nodes.add("Div", nodes.add("Mul", two, inside), nodes.add("Add", one, inside))
    outside = nodes.add("Exp", nodes.add("Mul", square, nodes.constant(-0.5)))
    is_small = nodes.add("Less", radius, one)
    return nodes.add("Where", is_small, small, nodes.add("Sub", one, outside), name="mass")


def _radius(nodes: Nodes, w: str) -> str:
    """sqrt(-2 log(1 - w)), as exact for a small w as log1p.

    Of `y = 1 - w` as rounded, `1 - y` is exact, and `log(y) / (1 - y)` hardly depends on y: so it
    stands for `log(1 - w) / w`. It is -1 where y is 1.
    """
    one = nodes.constant(1.0)
    y = nodes.add("Sub", one, w)
    ratio = nodes.add("Div", nodes.add("Log", y), nodes.add("Sub", one, y))
    ratio = nodes.add("Where", nodes.add("Equal", y, one), nodes.constant(-1.0), ratio)
    twice = nodes.add("Mul", nodes.add("Mul", w, nodes.constant(-2.0)), ratio)
    return nodes.add("Sqrt", twice, name="radius")


def _angle(nodes: Nodes, v: str) -> str:
    """2 pi v, of the turn between -1/2 and 1/2, where an angle is rounded less."""
    half = nodes.add("Less", v, nodes.constant(0.5))
    turn = nodes.add("Where", half, v, nodes.add("Sub", v, nodes.constant(1.0)))
    return nodes.add("Mul", turn, nodes.constant(2 * math.pi), name="angle")
