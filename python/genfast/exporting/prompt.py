"""The loop over the prompt: a site without its draw, and nothing where there is no prompt."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from genfast.exporting.nodes import INT64, Nodes, value_info
from genfast.exporting.site import Site, types_of
from genfast.exporting.words import counted
from genfast.program import Program

__all__ = ["run_prompt"]


def run_prompt(nodes: Nodes, program: Program, batch: str, values: dict[str, str]) -> list[str]:
    """The carried values behind every row's prompt, in the order of a site's `carried`.

    Args:
        nodes: The outermost graph, with inputs `prompt` and `prompt_length`.
        program: What is drawn from.
        batch: int64 (1), N.
        values: Values known from the start, by buffer.
    """
    branch = Nodes(nodes)
    site = Site(Nodes(branch), program, batch, values)
    symbol = site.nodes.fresh("symbol")
    site.run("site", lambda draw, scores: [symbol])
    carried = list(site.carried.values())
    if not carried:
        return []
    borders = [nodes.expand(value.border, batch, "border") for value in carried]
    steps = nodes.most("prompt_length", 0, "prompt_steps")
    symbols, within = _steps(nodes, steps, batch)
    after = _scan(branch, site, symbol, [*borders, symbols, within])
    none = Nodes(nodes)
    unchanged = [none.add("Identity", border) for border in borders]
    is_prompt = nodes.add("Greater", steps, nodes.integers(0))
    return nodes.many(
        "If",
        [is_prompt],
        [f"{value.name}_begin" for value in carried],
        then_branch=branch.body("prompt", [], types_of(carried, after)),
        else_branch=none.body("no_prompt", [], types_of(carried, unchanged)),
    )


def _steps(nodes: Nodes, steps: str, batch: str) -> tuple[str, str]:
    """Symbols int64 (steps, N), 0 where there are none, and whether there are, (steps, N, 1)."""
    cut = nodes.add("Slice", "prompt", nodes.integers(0), steps, nodes.integers(1))
    step = nodes.add("Unsqueeze", counted(nodes, steps), nodes.integers(0))
    within = nodes.add("Less", step, "prompt_length")
    symbols = nodes.add("Where", within, cut, nodes.integers(0))
    symbols, within = (nodes.add("Transpose", value, perm=[1, 0]) for value in (symbols, within))
    return symbols, nodes.add("Unsqueeze", within, nodes.integers(2))


def _scan(branch: Nodes, site: Site, symbol: str, inputs: Sequence[str]) -> list[str]:
    """The loop itself; a row stays as it is where it is not within its prompt."""
    body, carried = site.nodes, list(site.carried.values())
    within = body.fresh("within")

    after = [
        body.add("Where", within, following, value.name, name=f"{value.name}_kept")
        for following, value in zip(site.following(), carried, strict=True)
    ]
    body.prune(after)
    scanned = [value_info(symbol, INT64, ["batch"])]
    scanned.append(value_info(within, TensorProto.BOOL, ["batch", 1]))
    graph = body.body("prompt_site", [*types_of(carried), *scanned], types_of(carried, after))
    outputs = [f"{value.name}_after" for value in carried]
    return branch.many("Scan", inputs, outputs, body=graph, num_scan_inputs=2)
