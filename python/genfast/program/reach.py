"""How far back readers look: the rows and columns of a buffer that must be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from genfast.program.buffers import Ref

if TYPE_CHECKING:
    from genfast.program.program import Program


@dataclass(frozen=True)
class Reach:
    """What readers still need of a buffer, and how far over the edge they look.

        pad_left |. . . . . . .| pad_right      rows     earlier rows of the raster
                 |. . . . . . .|                columns  earlier sites of this row, for buffers
                 |. . . @      |                         written site by site

    Args:
        rows: earlier rows read.
        columns: earlier sites of the same row read; 0 for a buffer written a whole row at once.
        pad_left: columns read to the left of the site, in any row.
        pad_right: columns read to the right of the site, in any row.
    """

    rows: int = 0
    columns: int = 0
    pad_left: int = 0
    pad_right: int = 0

    @property
    def kept(self) -> bool:
        """Whether anything outlives its site (its row, for a row buffer): the state."""
        return self.rows > 0 or self.columns > 0


def reach(program: Program) -> dict[str, Reach]:
    """Name of each buffer to its reach, over all instructions that read it."""
    refs: dict[str, list[Ref]] = {buffer.name: [] for buffer in program.buffers}
    for instruction in program.instructions:
        for ref in instruction.refs:
            refs[ref.buffer.name].append(ref)
    return {
        name: _reach(readers, by_site=program.phases[program.writers[name]] == "site")
        for name, readers in refs.items()
    }


def _reach(refs: list[Ref], *, by_site: bool) -> Reach:
    return Reach(
        rows=max([0, *(-ref.dy for ref in refs)]),
        columns=max([0, *(-ref.dx for ref in refs if by_site and ref.dy == 0)]),
        pad_left=max([0, *(-ref.dx for ref in refs)]),
        pad_right=max([0, *(ref.dx for ref in refs)]),
    )
