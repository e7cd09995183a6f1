"""The step graph: one site, the carried values as inputs and outputs."""

from __future__ import annotations

from typing import Any

from genfast.exporting.categorical import choose, opened, prepared
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.site import Carried, Site, types_of
from genfast.program import Draw, Program

__all__ = ["build_step"]

_TEXT = "One site of a sampler, written by genfast: last symbol and states in, the next ones out."


def build_step(
    program: Program, *, top_k: int | str | None = None, top_p: float | str | None = None
) -> tuple[Any, list[Carried]]:
    """The graph that draws one site, as an `onnx.ModelProto`, and its states, zeros at first.

    Args:
        program: An optimised one, of a sequence with one draw a site.
        top_k: Best classes kept, "input" to ask for it at every site, None for all.
        top_p: Mass kept, likewise.
    """
    nodes = Nodes()
    columns = _columns({"top_k": top_k, "top_p": top_p})
    for name in (*(column.name for column in columns), "drawn", "scores"):
        nodes.fresh(name)
    batch = nodes.add("Shape", "symbol", start=0, end=1, name="batch_size")
    last = nodes.add("Reshape", "symbol", nodes.integers(-1), name="last")
    site = Site(nodes, program, batch, {}, last)
    uniform = opened(nodes, "uniform", "temperature")
    options = prepared(nodes, site.classes, batch, uniform, top_k, top_p)
    found: dict[str, str] = {}

    def drawn(_: Draw, scores: str) -> list[str]:
        found["scores"] = nodes.add("Identity", scores)
        found["drawn"] = choose(nodes, scores, site.classes, options, keepdims=1)
        return [found["drawn"]]

    site.run("start", drawn)
    site.run("site", drawn)
    states = list(site.carried.values())
    after = [f"{state.name}_next" for state in states]
    found |= dict(zip(after, site.following(), strict=True))
    nodes.prune(list(found.values()))
    nodes.rename({value: name for name, value in found.items()})
    outputs = [
        value_info("drawn", INT64, ["batch", 1]),
        *types_of(states, after),
        value_info("scores", FLOAT, ["batch", site.classes]),
    ]
    inputs = [columns[0], *types_of(states), *columns[1:]]
    return nodes.model("step", inputs, outputs, _TEXT), states


def _columns(kept: dict[str, Any]) -> list[Any]:
    """Every input but the states, (N, 1)."""
    named = [("symbol", INT64), ("temperature", FLOAT), ("uniform", FLOAT)]
    for name, kind in (("top_k", INT64), ("top_p", FLOAT)):
        named += [(name, kind)] if kept[name] == "input" else []
    return [value_info(name, kind, ["batch", 1]) for name, kind in named]
