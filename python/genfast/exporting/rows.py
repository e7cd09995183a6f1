"""The loop over the rows of a raster, and what every graph of images needs of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genfast.exporting.categorical import Options
from genfast.exporting.chance import Chance
from genfast.exporting.columns import drawn_row
from genfast.exporting.grid import Grid
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.row import KeptRow, Row, kept_rows
from genfast.exporting.site import Site
from genfast.program import Input, Program

__all__ = ["condition", "no_draw", "run_rows", "start_values"]


def run_rows(
    nodes: Nodes, program: Program, grid: Grid, chances: Sequence[Chance], options: Options
) -> list[str]:
    """Of each value of a site what all rows have drawn, int64 (rows, columns, N).

    Args:
        nodes: The outermost graph, with the program's inputs.
        program: What is drawn from.
        grid: Its sizes.
        chances: What each draw of a site is given, of all rows and columns.
        options: What bends every draw.
    """
    body = Nodes(nodes)
    above = {kept: body.fresh(kept.name) for kept in kept_rows(program)}
    row = Row(body, program, grid, start_values(nodes, program, grid), above)
    scanned = _Scanned(body, grid)
    _give_rows(row, scanned, nodes)
    mine = [scanned.chance(chance) for chance in chances]
    row.run("row", no_draw)
    symbols, _ = drawn_row(row, mine, options)
    after = row.following()
    body.prune([*after, *symbols])
    types = [_type(kept, grid) for kept in above]
    inputs = [value_info(name, *its) for name, its in zip(above.values(), types, strict=True)]
    outputs = [value_info(name, *its) for name, its in zip(after, types, strict=True)]
    outputs += [value_info(name, INT64, [grid.columns, "batch"]) for name in symbols]
    made = nodes.many(
        "Scan",
        [*(grid.border(kept.buffer, kept.columns(grid)) for kept in above), *scanned.values],
        [*(f"{name}_end" for name in above.values()), *("drawn_rows" for _ in symbols)],
        body=body.body("row", [*inputs, *scanned.infos], outputs),
        num_scan_inputs=len(scanned.values),
    )
    return made[len(above) :]


class _Scanned:
    """What goes into the loop row by row."""

    def __init__(self, body: Nodes, grid: Grid) -> None:
        self._body, self._grid = body, grid
        self.infos: list[Any] = []
        self.values: list[str] = []

    def add(self, name: str, kind: int, shape: Sequence[int | str], value: str) -> str:
        """The name in the body of a value that is (rows, columns, *shape) outside of it."""
        fresh = self._body.fresh(name)
        self.infos.append(value_info(fresh, kind, [self._grid.columns, *shape]))
        self.values.append(value)
        return fresh

    def chance(self, whole: Chance) -> Chance:
        """A row of what a draw is given."""
        return {
            name: part._replace(value=self.add(f"{name}_row", part.kind, part.shape, part.value))
            for name, part in whole.items()
        }


def _give_rows(row: Row, scanned: _Scanned, nodes: Nodes) -> None:
    """Gives the row its part of the inputs that are known ahead of it."""
    for given in row.program.inputs:
        if given.phase == "row":
            name, kind, (width,) = condition(given, ())
            whole = nodes.add("Transpose", name, perm=[2, 3, 0, 1])
            here = scanned.add(f"{name}_row", kind, ["batch", width], whole)
            row.values[name] = row.flat(here, width if kind == FLOAT else 0)


def condition(given: Input, shape: Sequence[int]) -> tuple[str, int, list[int]]:
    """Name, type and shape, without the batch, of an input of the program.

    Args:
        given: The input.
        shape: Sites of it, where it is known row by row.
    """
    buffer = given.target
    kind = INT64 if buffer.kind == "sym" else FLOAT
    return buffer.name, kind, [buffer.width, *(shape if given.phase == "row" else ())]


def start_values(nodes: Nodes, program: Program, grid: Grid) -> dict[str, str]:
    """Buffer to value, of all that is known from the start: (N, width), or (N) of symbols."""
    given = {}
    for one in program.inputs:
        if one.phase == "start":
            name, symbol = one.target.name, one.target.kind == "sym"
            given[name] = nodes.add("Reshape", name, nodes.integers(-1)) if symbol else name
    start = Site(nodes, program, grid.batch, given)
    start.run("start", no_draw)
    return start.values


def no_draw(*_: Any) -> list[str]:
    """For code that draws nothing."""
    raise AssertionError("only site code draws")


def _type(kept: KeptRow, grid: Grid) -> tuple[int, list[int | str]]:
    sites = f"sites_of_{kept.columns(grid)}"
    symbol = kept.buffer.kind == "sym"
    return (INT64, [sites]) if symbol else (FLOAT, [sites, kept.buffer.width])
