"""What an export says of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genfast.exporting.graphs import Graph
    from genfast.exporting.verify import Found

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What `export` wrote and checked; printing it gives a few lines.

    Args:
        paths: The folders, the sampler's first.
        bytes: Bytes of each folder's graph.
        opset: Of the standard operators.
        loop: How often each operator stands in the sampler's loop over new sites, or over pixels.
        row: The same for the loop over the rows of an image; empty for sequences.
        rest: The same for everything around it, the loop over the prompt included.
        score_gap: Largest error of a score, a share of the scores' scale.
        sites: Drawn sites that were replayed.
        skipped: Sites of those where float32 itself cannot tell.
        equal_samples: Share of whole samples equal to the library's.
    """

    paths: tuple[Path, ...]
    bytes: tuple[int, ...]
    opset: int
    loop: Counter[str]
    row: Counter[str]
    rest: Counter[str]
    score_gap: float
    sites: int
    skipped: int
    equal_samples: float

    @classmethod
    def of(cls, graphs: Mapping[Path, Graph], found: Found) -> Report:
        """The report of what was written, the sampler first, and of what verification found."""
        from genfast.exporting.nodes import operators

        sampler = next(iter(graphs.values()))
        counts = Counter(operators(sampler.model.graph))
        found_in = {"site": Counter[str](), "row": Counter[str](), "": Counter[str]()}
        for (name, graph), n in counts.items():
            found_in[graph if graph in found_in else ""][name] += n
        sizes = tuple(len(graph.data) for graph in graphs.values())
        loop, row, rest = found_in.values()
        return cls(tuple(graphs), sizes, sampler.opset, loop, row, rest, **vars(found))

    def __str__(self) -> str:
        files = [
            f"{path / '1' / 'model.onnx'}  {size:,} bytes"
            for path, size in zip(self.paths, self.bytes, strict=True)
        ]
        operators = ", ".join(f"{count} {name}" for name, count in sorted(self.loop.items()))
        rows = [f"a row     {self.row.total()} nodes"] if self.row else []
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return "\n".join(
            [
                *files,
                f"a site    {self.loop.total()} nodes: {operators}",
                *rows,
                f"around    {self.rest.total()} nodes; opset {self.opset}",
                f"verified  {self.sites:,} sites replayed in ONNX Runtime{skipped}; "
                f"{self.equal_samples:.1%} of whole samples equal the library's",
                f"scores    off by at most {self.score_gap:.1e} of their scale",
            ]
        )
