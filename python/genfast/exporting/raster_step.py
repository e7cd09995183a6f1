"""The step graph of an image: one row, the rows above it as inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genfast.exporting.categorical import prepared
from genfast.exporting.columns import drawn_row
from genfast.exporting.grid import Grid
from genfast.exporting.heads import chances, draws_of
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.row import KeptRow, Row, kept_rows
from genfast.exporting.rows import condition, no_draw, start_values
from genfast.program import Program

__all__ = ["build_raster_step"]

_TEXT = "One row of a sampler of images, written by genfast: rows above in, this and the next out."


def build_raster_step(
    program: Program, *, top_k: int | str | None = None, top_p: float | str | None = None
) -> tuple[Any, list[KeptRow]]:
    """The graph that draws one row, as an `onnx.ModelProto`, and its states.

    A state is (N, columns, width), 0 at first; of symbols (N, columns), the number of symbols at
    first. Inputs that are known row by row are given for the row alone, (N, width, columns).

    Args:
        program: An optimised one, of a raster, whose draws have one vocabulary.
        top_k: Best classes kept, "input" to ask for it at every row, None for all.
        top_p: Mass kept, likewise.
    """
    assert program.shape is not None
    nodes, columns, kept = Nodes(), program.shape[1], kept_rows(program)
    draws = draws_of(program)
    states = [_state(one, columns) for one in kept]
    inputs = [*states, *_others(program, {"top_k": top_k, "top_p": top_p})]
    outputs = [
        value_info("drawn", INT64, ["batch", program.values, columns]),
        *(_state(one, columns, "_next") for one in kept),
        value_info("scores", FLOAT, ["batch", columns, len(draws), draws[0].ref.buffer.width]),
    ]
    for value in (*inputs, *outputs):
        nodes.fresh(value.name)
    batch = nodes.add("Shape", "temperature", start=0, end=1, name="batch_size")
    grid = Grid(nodes, batch, 1, columns)
    options = prepared(nodes, draws[0].targets[0].vocabulary, batch, "", top_k, top_p)
    row = Row(nodes, program, grid, start_values(nodes, program, grid), {})
    row.give_above({one: _flat(row, one.buffer.width, one) for one in kept})
    _give_inputs(row)
    uniform = nodes.add("Transpose", "uniform", perm=[1, 0])
    given = nodes.add("Transpose", "given", perm=[2, 1, 0])
    asked = chances(nodes, program, batch, [columns], uniform, given)
    row.run("row", no_draw)
    symbols, scores = drawn_row(row, asked, options, with_scores=True)
    found = {_drawn(nodes, symbols): "drawn", _scores(nodes, scores): "scores"}
    found |= {_next(row, one): f"{one.name}_next" for one in kept}
    nodes.prune(list(found))
    nodes.rename(found)
    return nodes.model("step", inputs, outputs, _TEXT), kept


def _others(program: Program, kept: dict[str, Any]) -> list[Any]:
    """Inputs that are no states."""
    assert program.shape is not None
    columns = program.shape[1]
    named: list[tuple[str, int, list[int]]] = [
        ("uniform", FLOAT, [columns * program.draws]),
        ("temperature", FLOAT, [1]),
        *(condition(given, (columns,)) for given in program.inputs),
        ("given", INT64, [program.values, columns]),
    ]
    for name, kind in (("top_k", INT64), ("top_p", FLOAT)):
        named += [(name, kind, [1])] if kept[name] == "input" else []
    return [value_info(name, kind, ["batch", *shape]) for name, kind, shape in named]


def _state(kept: KeptRow, columns: int, end: str = "") -> Any:
    symbol = kept.buffer.kind == "sym"
    tail = [] if symbol else [kept.buffer.width]
    name = f"{kept.name}{end}"
    return value_info(name, INT64 if symbol else FLOAT, ["batch", columns, *tail])


def _flat(row: Row, width: int, kept: KeptRow) -> str:
    """A state as row code reads it."""
    symbol = kept.buffer.kind == "sym"
    turned = row.nodes.add("Transpose", kept.name, perm=[1, 0] if symbol else [1, 0, 2])
    return row.padded(row.flat(turned, 0 if symbol else width), kept.buffer)


def _next(row: Row, kept: KeptRow) -> str:
    """What takes the place of a state."""
    if kept.age > 1:
        younger = kept.name.removesuffix(f"_{kept.age}") + (f"_{kept.age - 1}" * (kept.age > 2))
        return row.nodes.add("Identity", younger)
    symbol = kept.buffer.kind == "sym"
    value = row.by_column(row.values[kept.buffer.name], 0 if symbol else kept.buffer.width)
    return row.nodes.add("Transpose", value, perm=[1, 0] if symbol else [1, 0, 2])


def _give_inputs(row: Row) -> None:
    """Gives the row what is known ahead of it, (N, width, columns)."""
    for given in row.program.inputs:
        if given.phase == "row":
            name, kind, (width,) = condition(given, ())
            turned = row.nodes.add("Transpose", name, perm=[2, 0, 1])
            row.values[name] = row.flat(turned, width if kind == FLOAT else 0)


def _drawn(nodes: Nodes, symbols: Sequence[str]) -> str:
    """int64 (N, values, columns)."""
    planes = [nodes.add("Unsqueeze", symbol, nodes.integers(0)) for symbol in symbols]
    return nodes.add("Transpose", nodes.add("Concat", *planes, axis=0), perm=[2, 0, 1])


def _scores(nodes: Nodes, scores: Sequence[str]) -> str:
    """float32 (N, columns, draws, width)."""
    planes = [nodes.add("Unsqueeze", score, nodes.integers(2)) for score in scores]
    return nodes.add("Transpose", nodes.add("Concat", *planes, axis=2), perm=[1, 0, 2, 3])
