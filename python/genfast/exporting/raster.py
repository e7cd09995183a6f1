"""The sampler's graph of an image: uniforms, a loop over rows, and in it one over columns.

::

    seed, index -> Threefry -> uniforms --.
    given --------------------------------+--> [Scan over rows: row code,
    classes, vector -> start code --------|        [Scan over columns: site code, draws]] -> values
    features -----------------------------'

Carried from row to row is what row code reads of rows above, from column to column what site code
reads to its left; the image itself is never carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genfast.exporting import words
from genfast.exporting.categorical import prepared
from genfast.exporting.grid import Grid
from genfast.exporting.heads import chances, draws_of
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.rows import condition, run_rows
from genfast.program import Program

__all__ = ["build_raster"]

_TEXT = "A whole sampler of images, written by genfast: seeds in, images out."


def build_raster(
    program: Program,
    *,
    uniforms: bool = False,
    top_k: int | str | None = None,
    top_p: float | str | None = None,
) -> Any:
    """The graph that draws whole images, as an `onnx.ModelProto`.

    Args:
        program: An optimised one, of a raster, whose draws have one vocabulary.
        uniforms: Whether random numbers are an input, in the place of seed and index.
        top_k: Best classes kept, "input" to ask for it with every draw, None for all.
        top_p: Mass kept, likewise.
    """
    assert program.shape is not None
    nodes = Nodes()
    inputs = _inputs(program, uniforms, {"top_k": top_k, "top_p": top_p})
    outputs = [value_info("values", INT64, ["batch", program.values, *program.shape])]
    for value in (*inputs, *outputs):
        nodes.fresh(value.name)
    batch = nodes.add("Shape", "temperature", start=0, end=1, name="batch_size")
    grid = Grid(nodes, batch, *program.shape)
    uniform = _uniforms(nodes, program, batch, uniforms)
    given = nodes.add("Transpose", "given", perm=[2, 3, 1, 0])
    asked = chances(nodes, program, batch, program.shape, uniform, given)
    classes = draws_of(program)[0].targets[0].vocabulary
    options = prepared(nodes, classes, batch, "", top_k, top_p)
    _finish(nodes, run_rows(nodes, program, grid, asked, options))
    return nodes.model("sampler", inputs, outputs, _TEXT)


def _inputs(program: Program, uniforms: bool, kept: dict[str, Any]) -> list[Any]:
    assert program.shape is not None
    rows, columns = program.shape
    random = [("seed", INT64, [1]), ("index", INT64, [1])]
    sites = [("uniforms", FLOAT, [rows * columns * program.draws])]
    named: list[tuple[str, int, list[int]]] = [*(sites if uniforms else random)]
    named.append(("temperature", FLOAT, [1]))
    named += [condition(given, program.shape) for given in program.inputs]
    named.append(("given", INT64, [program.values, rows, columns]))
    for name, kind in (("top_k", INT64), ("top_p", FLOAT)):
        named += [(name, kind, [1])] if kept[name] == "input" else []
    return [value_info(name, kind, ["batch", *shape]) for name, kind, shape in named]


def _uniforms(nodes: Nodes, program: Program, batch: str, given: bool) -> str:
    """Those of all sites in order, float32 (draws, N)."""
    if given:
        return nodes.add("Transpose", "uniforms", perm=[1, 0])
    assert program.shape is not None
    rows, columns = program.shape
    first = nodes.add("Mul", "index", nodes.integers(0))
    count = nodes.integers(rows * columns * program.draws)
    return words.uniforms(nodes, "seed", "index", first, count, batch)


def _finish(nodes: Nodes, symbols: Sequence[str]) -> None:
    """`values`, int64 (N, values, rows, columns)."""
    axis = nodes.integers(0)
    planes = [nodes.add("Unsqueeze", symbol, axis) for symbol in symbols]
    whole = nodes.add("Concat", *planes, axis=0) if len(planes) > 1 else planes[0]
    values = nodes.add("Transpose", whole, perm=[3, 0, 1, 2])
    nodes.rename({values: "values"})
