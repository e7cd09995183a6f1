"""The draw of a pixel from a mixture of discretised logistics as nodes.

`genfast.heads.LogisticMixture` has the distribution, `genfast.program.mixture` the draw in NumPy.

::

    outside the loop   deviation = temperature (levels - 1) / 2 (log(1 - u) - log(u))
    at a site          component -> its parameters, turned: (parameters, N), a row each
                       y = location + scale * deviation -> level -> means of the channels behind it

A channel sees the levels before it, as numbers in [-1, 1]: what each adds to the means of all those
behind it is one product, so nodes grow with the channels, not with their pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest

import numpy as np
from onnx import TensorProto

from genfast.exporting import categorical
from genfast.exporting.categorical import Options
from genfast.exporting.chance import Asked, Chance, Part
from genfast.exporting.nodes import FLOAT, INT64, Nodes
from genfast.program import Draw
from genfast.program.instructions import Array
from genfast.program.mixture import FARTHEST, LEAST_UNIFORM, LOG_SCALES, mixture_parameters

__all__ = ["draw", "ready"]


def ready(nodes: Nodes, instruction: Draw, asked: Asked) -> Chance:
    """What a pixel is given: the component's uniform, and how far channels lie from their centres.

    A pixel is given whole, so its first channel says whether it is drawn.
    """
    axis, channels = asked.axis, len(instruction.targets)
    first, others = nodes.parts(asked.uniform, [1, channels], axis)
    column = categorical.column(nodes, first, asked)
    v = nodes.add("Log", nodes.add("Sub", nodes.constant(1.0), others))
    least = nodes.constant(LEAST_UNIFORM, name="least_uniform")
    logistic = nodes.add("Sub", v, nodes.add("Log", nodes.add("Max", others, least)))
    levels = nodes.add("Mul", logistic, nodes.constant(_half(instruction), name="half"))
    deviation = nodes.add("Mul", levels, asked.temperature, name="deviation_by_site")
    whole = nodes.add("Slice", asked.given, *(nodes.integers(i) for i in (0, 1, axis)))
    flag = nodes.add("Less", nodes.add("Squeeze", whole, nodes.integers(axis)), nodes.integers(0))
    return {
        "uniform": Part(column, FLOAT, ["batch", 1]),
        "deviation": Part(deviation, FLOAT, [channels, "batch"]),
        "given": Part(asked.given, INT64, [channels, "batch"]),
        "is_drawn": Part(flag, TensorProto.BOOL, ["batch"]),
    }


def draw(
    nodes: Nodes, instruction: Draw, scores: str, chance: Mapping[str, str], options: Options
) -> list[str]:
    """The level of every channel, int64 (N) each; see `genfast.exporting.heads.HeadNodes`."""
    options = replace(options, uniform=chance["uniform"])
    means, scales, couplings = _parameters(nodes, instruction, scores, options)
    spread = nodes.add("Mul", scales, chance["deviation"])
    deviations = _clip(nodes, spread, -FARTHEST, FARTHEST)
    levels = _levels(nodes, instruction, means, deviations, couplings)
    whole = nodes.add("Concat", *levels, axis=0) if len(levels) > 1 else levels[0]
    # A cast cuts off what is behind the point, and levels are not negative.
    whole = nodes.add("Where", chance["is_drawn"], nodes.cast(whole, INT64), chance["given"])
    return [
        nodes.add("Gather", whole, nodes.constant(c, np.int64, "channel"), axis=0, name=one.name)
        for c, one in enumerate(instruction.targets)
    ]


def _parameters(
    nodes: Nodes, instruction: Draw, scores: str, options: Options
) -> tuple[str, str, list[str]]:
    """Of the component that is drawn: means and scales (C, N), and the couplings.

    Couplings are given by the channel j that is seen: (C - 1 - j, N), a row a channel behind it.
    """
    channels = len(instruction.targets)
    components = instruction.ref.buffer.width // mixture_parameters(channels)
    logits = nodes.columns(scores, [range(components)])
    component = categorical.choose(nodes, logits, components, options, keepdims=1)
    columns = nodes.constant(_columns(components, channels), np.int64, "of_component")
    place = nodes.add("Add", component, columns)
    chosen = nodes.add("GatherElements", scores, place, axis=1, name="chosen")
    rows = nodes.add("Transpose", chosen, perm=[1, 0])
    pairs = channels * (channels - 1) // 2
    sizes = [channels, channels, *([pairs] if pairs else [])]
    means, log_scales, *couplings = nodes.parts(rows, sizes, 0)
    scales = nodes.add("Exp", _clip(nodes, log_scales, *LOG_SCALES), name="scales")
    if not pairs:
        return means, scales, []
    tanh = nodes.add("Tanh", couplings[0], name="couplings")
    return means, scales, nodes.parts(tanh, list(range(channels - 1, 0, -1)), 0)


def _columns(components: int, channels: int) -> Array:
    """Columns (1, P - 1) of the first component's parameters but its logit.

    Means, log-scales, then couplings by the channel that is seen: (1, 0), (2, 0), .., (2, 1), ..
    """
    plain = range(1, 1 + 2 * channels)
    pairs = [(c, j) for j in range(channels) for c in range(j + 1, channels)]
    couplings = (1 + 2 * channels + c * (c - 1) // 2 + j for c, j in pairs)
    return np.array([[*plain, *couplings]]) * components


def _levels(
    nodes: Nodes, instruction: Draw, means: str, deviations: str, couplings: list[str]
) -> list[str]:
    """Of each channel its level before the part behind the point is cut off, float32 (1, N)."""
    channels, top = len(instruction.targets), float(instruction.targets[0].vocabulary - 1)
    one, half = nodes.constant(1.0), nodes.constant(_half(instruction), name="half")
    levels: list[str] = []
    for deviation, coupling in zip_longest(nodes.parts(deviations, [1] * channels, 0), couplings):
        behind = channels - 1 - len(levels)
        mean, *others = nodes.parts(means, [1, behind] if behind else [1], 0)
        location = nodes.add("Mul", nodes.add("Add", mean, one), half, name="location")
        y = nodes.add("Add", location, deviation)
        levels.append(_clip(nodes, nodes.add("Add", y, nodes.constant(0.5)), 0.0, top))
        if behind:
            level = nodes.add("Mul", nodes.add("Floor", levels[-1]), nodes.constant(2 / top))
            seen = nodes.add("Mul", coupling, nodes.add("Sub", level, one))
            means = nodes.add("Add", *others, seen, name="means")
    return levels


def _clip(nodes: Nodes, value: str, low: float, high: float) -> str:
    return nodes.add("Clip", value, nodes.constant(low), nodes.constant(high))


def _half(instruction: Draw) -> float:
    """Levels for a distance of 1."""
    return (instruction.targets[0].vocabulary - 1) / 2
