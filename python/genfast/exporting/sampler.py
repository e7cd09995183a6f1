"""The sampler's graph: uniforms, a loop over the prompt, a loop over the new sites.

::

    seed, index -> Threefry -> uniforms -----------------------------.
    prompt -> [Scan: a site, no draw] -> carried values -> [Scan: a site] -> values, lengths

Each row begins its new sites at step 0 of the second loop, however long its prompt. In the first,
which draws nothing, a row whose prompt has ended stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from genfast.exporting import words
from genfast.exporting.categorical import Options, choose, opened, prepared
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.prompt import run_prompt
from genfast.exporting.site import Site, types_of
from genfast.exporting.words import counted
from genfast.program import Draw, Program

__all__ = ["build_sampler"]

_TEXT = "A whole sampler, written by genfast: seeds and prompts in, samples out."


def build_sampler(
    program: Program,
    *,
    uniforms: bool = False,
    top_k: int | str | None = None,
    top_p: float | str | None = None,
    stop: int | None = None,
) -> Any:
    """The graph that draws whole samples, as an `onnx.ModelProto`.

    Args:
        program: An optimised one, of a sequence with one draw a site.
        uniforms: Whether random numbers are an input, in the place of seed and index.
        top_k: Best classes kept, "input" to ask for it with every draw, None for all.
        top_p: Mass kept, likewise.
        stop: Symbol after which a row ends.
    """
    nodes = Nodes()
    inputs = _inputs(uniforms, {"top_k": top_k, "top_p": top_p})
    outputs = [value_info("values", INT64, ["batch", "sites"])]
    outputs.append(value_info("lengths", INT64, ["batch", 1]))
    for value in (*inputs, *outputs):
        nodes.fresh(value.name)
    batch = nodes.add("Shape", "temperature", start=0, end=1, name="batch_size")
    # A loop of no steps fails in ONNX Runtime.
    sites = nodes.most("length", 1, "sites")
    uniform = _uniforms(nodes, uniforms, sites, batch)
    (instruction,) = (i for i in program.instructions if isinstance(i, Draw))
    classes = instruction.target.vocabulary
    options = prepared(nodes, classes, batch, uniform, top_k, top_p)
    start = Site(nodes, program, batch, {})
    start.run("start", lambda draw, scores: [scores])
    begin = run_prompt(nodes, program, batch, start.values)
    drawn = _run_sites(nodes, Site(Nodes(nodes), program, batch, start.values), begin, options)
    _finish(nodes, drawn, stop)
    return nodes.model("sampler", inputs, outputs, _TEXT)


def _inputs(uniforms: bool, kept: dict[str, Any]) -> list[Any]:
    random = [("seed", INT64, 1), ("index", INT64, 1)]
    columns: list[tuple[str, int, int | str]] = [
        *([("uniforms", FLOAT, "uniform_sites")] if uniforms else random),
        ("temperature", FLOAT, 1),
        ("length", INT64, 1),
        ("prompt", INT64, "prompt_sites"),
        ("prompt_length", INT64, 1),
    ]
    for name, kind in (("top_k", INT64), ("top_p", FLOAT)):
        columns += [(name, kind, 1)] if kept[name] == "input" else []
    return [value_info(name, kind, ["batch", width]) for name, kind, width in columns]


def _uniforms(nodes: Nodes, given: bool, sites: str, batch: str) -> str:
    """Those of every new site, ready for the draw, float32 (sites, N, 1)."""
    if given:
        uniform = _given(nodes, sites, batch)
    else:
        uniform = words.uniforms(nodes, "seed", "index", "prompt_length", sites, batch)
    temperature = nodes.add("Reshape", "temperature", nodes.integers(-1))
    return nodes.add("Unsqueeze", opened(nodes, uniform, temperature), nodes.integers(2))


def _given(nodes: Nodes, sites: str, batch: str) -> str:
    """Of the input `uniforms` what stands behind each row's prompt, (sites, N).

    Behind a row's length a column of zeros is read, which is put before the others.
    """
    step = nodes.add("Unsqueeze", counted(nodes, sites), nodes.integers(0))
    column = nodes.add("Add", nodes.add("Add", "prompt_length", step), nodes.integers(1))
    there = nodes.add("Less", step, "length")
    column = nodes.add("Where", there, column, nodes.integers(0))
    shape = nodes.add("Concat", batch, nodes.integers(1), axis=0)
    padding = nodes.add("Expand", nodes.constant(0.0), shape)
    padded = nodes.add("Concat", padding, "uniforms", axis=1)
    chosen = nodes.add("GatherElements", padded, column, axis=1)
    return nodes.add("Transpose", chosen, perm=[1, 0])


def _run_sites(nodes: Nodes, site: Site, begin: list[str], options: Options) -> str:
    """What is drawn from the carried values `begin` on, int64 (sites, N)."""
    body = site.nodes
    uniform = body.fresh("uniform")
    symbols: list[str] = []

    def drawn(_: Draw, scores: str) -> list[str]:
        mine = replace(options, uniform=uniform)
        symbols.append(choose(body, scores, site.classes, mine))
        return symbols

    site.run("site", drawn)
    carried = list(site.carried.values())
    after = site.following()
    body.prune([*after, *symbols])
    inputs = [*types_of(carried), value_info(uniform, FLOAT, ["batch", 1])]
    outputs = [*types_of(carried, after), value_info(symbols[0], INT64, ["batch"])]
    return nodes.many(
        "Scan",
        [*begin, options.uniform],
        [*(f"{value.name}_end" for value in carried), "drawn_sites"],
        body=body.body("site", inputs, outputs),
        num_scan_inputs=1,
    )[-1]


def _finish(nodes: Nodes, drawn: str, stop: int | None) -> None:
    """`values`, 0 behind the length of each row, and `lengths`."""
    rows = nodes.add("Transpose", drawn, perm=[1, 0])
    longest = nodes.most("length", 0, "longest")
    cut = nodes.add("Slice", rows, nodes.integers(0), longest, nodes.integers(1))
    step = nodes.add("Unsqueeze", counted(nodes, longest), nodes.integers(0))
    counts = nodes.add("Less", step, "length")
    if stop is not None:
        stops = nodes.cast(nodes.add("Equal", cut, nodes.integers(stop)), INT64)
        before = nodes.add("CumSum", stops, nodes.constant(1, np.int64, "axis"), exclusive=1)
        counts = nodes.add("And", counts, nodes.add("Equal", before, nodes.integers(0)))
    values = nodes.add("Where", counts, cut, nodes.integers(0))
    ones = nodes.cast(counts, INT64)
    lengths = nodes.add("ReduceSum", ones, nodes.integers(1), keepdims=1)
    nodes.rename({values: "values", lengths: "lengths"})
