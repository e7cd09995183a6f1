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
from genfast.exporting.columns import Chance, draws_of
from genfast.exporting.draw import opened, prepared
from genfast.exporting.grid import Grid
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
    draws = draws_of(program)
    nodes = Nodes()
    inputs = _inputs(program, uniforms, {"top_k": top_k, "top_p": top_p})
    outputs = [value_info("values", INT64, ["batch", len(draws), *program.shape])]
    for value in (*inputs, *outputs):
        nodes.fresh(value.name)
    batch = nodes.add("Shape", "temperature", start=0, end=1, name="batch_size")
    grid = Grid(nodes, batch, *program.shape)
    chances = _chances(nodes, grid, len(draws), uniforms)
    options = prepared(nodes, draws[0].target.vocabulary, batch, "", top_k, top_p)
    _finish(nodes, run_rows(nodes, program, grid, chances, options))
    return nodes.model("sampler", inputs, outputs, _TEXT)


def _inputs(program: Program, uniforms: bool, kept: dict[str, Any]) -> list[Any]:
    assert program.shape is not None
    rows, columns = program.shape
    random = [("seed", INT64, [1]), ("index", INT64, [1])]
    sites = [("uniforms", FLOAT, [rows * columns * program.draws])]
    named: list[tuple[str, int, list[int]]] = [*(sites if uniforms else random)]
    named.append(("temperature", FLOAT, [1]))
    named += [condition(given, program.shape) for given in program.inputs]
    named.append(("given", INT64, [program.draws, rows, columns]))
    for name, kind in (("top_k", INT64), ("top_p", FLOAT)):
        named += [(name, kind, [1])] if kept[name] == "input" else []
    return [value_info(name, kind, ["batch", *shape]) for name, kind, shape in named]


def _chances(nodes: Nodes, grid: Grid, count: int, uniforms: bool) -> list[Chance]:
    """Of each draw of a site: (rows, columns, N, 1) uniforms, and (rows, columns, N) the others.

    Pixel t owns the draws `t count .. t count + count - 1`.
    """
    if uniforms:
        uniform = nodes.add("Transpose", "uniforms", perm=[1, 0])
    else:
        first = nodes.add("Mul", "index", nodes.integers(0))
        draws = nodes.integers(grid.rows * grid.columns * count)
        uniform = words.uniforms(nodes, "seed", "index", first, draws, grid.batch)
    temperature = nodes.add("Reshape", "temperature", nodes.integers(-1))
    uniform = opened(nodes, uniform, temperature)
    sizes = nodes.integers(grid.rows, grid.columns)
    shape = nodes.add("Concat", sizes, grid.cells(count), nodes.integers(1), axis=0)
    uniform = nodes.add("Reshape", uniform, shape, name="uniforms_by_site", allowzero=1)
    given = nodes.add("Transpose", "given", perm=[2, 3, 1, 0])
    shape = nodes.add("Concat", sizes, grid.cells(count), axis=0)
    given = nodes.add("Reshape", given, shape, name="given_by_site", allowzero=1)
    is_drawn = nodes.add("Less", given, nodes.integers(0), name="is_drawn_by_site")
    parts = [nodes.cut(value, count, axis=2) for value in (uniform, given, is_drawn)]
    return [Chance(*names) for names in zip(*parts, strict=True)]


def _finish(nodes: Nodes, symbols: Sequence[str]) -> None:
    """`values`, int64 (N, draws, rows, columns)."""
    axis = nodes.integers(0)
    planes = [nodes.add("Unsqueeze", symbol, axis) for symbol in symbols]
    whole = nodes.add("Concat", *planes, axis=0) if len(planes) > 1 else planes[0]
    values = nodes.add("Transpose", whole, perm=[3, 0, 1, 2])
    nodes.rename({values: "values"})
