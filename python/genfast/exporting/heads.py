"""The heads as nodes, one file each: what a draw is given at every site, and how it draws.

What depends on uniforms and temperature alone is computed for all sites before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from genfast.exporting import categorical, mixture
from genfast.exporting.categorical import Options
from genfast.exporting.chance import Asked, Chance
from genfast.exporting.nodes import Nodes
from genfast.program import Draw, Program
from genfast.program.instructions import Head

__all__ = ["HEADS", "HeadNodes", "chances", "draws_of"]


class HeadNodes(NamedTuple):
    """A head.

    Args:
        ready: Takes the nodes outside of the loops, a draw and what it is asked for; gives what the
            loops are to take apart.
        draw: Takes the nodes of a site, a draw, the name of its parameters, float32 (N, width), the
            site's part of what `ready` gave and the options; gives the symbol of each target,
            int64 (N).
    """

    ready: Callable[[Nodes, Draw, Asked], Chance]
    draw: Callable[[Nodes, Draw, str, Mapping[str, str], Options], list[str]]


HEADS: dict[Head, HeadNodes] = {
    "categorical": HeadNodes(categorical.ready, categorical.draw),
    "logistic_mixture": HeadNodes(mixture.ready, mixture.draw),
}


def draws_of(program: Program) -> list[Draw]:
    """The draws of a site, in order."""
    return [i for i in program.instructions if isinstance(i, Draw)]


def chances(
    nodes: Nodes, program: Program, batch: str, sites: Sequence[int], uniform: str, given: str
) -> list[Chance]:
    """Of each draw of a site what it is given, at all sites. Reads the input `temperature`.

    Site t owns the uniforms `t d .. t d + d - 1`, d being those of all its draws, in order.

    Args:
        nodes: The outermost graph.
        program: What is drawn from.
        batch: int64 (1), N.
        sites: Length of each axis of the sites.
        uniform: float32 in [0, 1), site by site, each with those of the whole batch.
        given: int64 (*sites, values, N); -1 draws.
    """
    draws, axis = draws_of(program), len(sites)
    shape = nodes.add("Concat", nodes.integers(*sites, program.draws), batch, axis=0)
    uniform = nodes.add("Reshape", uniform, shape, name="uniforms_by_site", allowzero=1)
    temperature = nodes.add("Reshape", "temperature", nodes.integers(-1))
    uniforms = nodes.parts(uniform, [draw.draws for draw in draws], axis)
    values = nodes.parts(given, [len(draw.targets) for draw in draws], axis)
    return [
        HEADS[draw.head].ready(nodes, draw, Asked(its, value, temperature, axis))
        for draw, its, value in zip(draws, uniforms, values, strict=True)
    ]
