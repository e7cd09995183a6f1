"""What an export says of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genfast.exporting.onnx_graph import OnnxGraph
    from genfast.exporting.verify import Found

__all__ = ["OnePassReport", "Report", "SamplerReport"]


@dataclass(frozen=True)
class Report:
    """What `export` wrote and checked; printing it gives a few lines.

    Args:
        paths: The folders, the sampler's first.
        bytes: Bytes of each folder's graph.
        opset: Of the standard operators.
    """

    paths: tuple[Path, ...]
    bytes: tuple[int, ...]
    opset: int

    def __str__(self) -> str:
        files = [
            f"{path / '1' / 'model.onnx'}  {size:,} bytes"
            for path, size in zip(self.paths, self.bytes, strict=True)
        ]
        return "\n".join([*files, *self._lines()])

    def _lines(self) -> list[str]:
        """What stands below the files."""
        raise NotImplementedError


@dataclass(frozen=True)
class SamplerReport(Report):
    """Of a model that draws site by site.

    Args:
        loop: How often each operator stands in the sampler's loop over new sites, or over pixels.
        row: The same for the loop over the rows of an image; empty for sequences.
        rest: The same for everything around it, the loop over the prompt included.
        score_gap: Largest error of a score, a share of the scores' scale.
        sites: Drawn sites that were replayed.
        skipped: Sites of those where float32 itself cannot tell.
        equal_samples: Share of whole samples equal to the library's.
    """

    loop: Counter[str]
    row: Counter[str]
    rest: Counter[str]
    score_gap: float
    sites: int
    skipped: int
    equal_samples: float

    @classmethod
    def of(cls, graphs: Mapping[Path, OnnxGraph], found: Found) -> SamplerReport:
        """The report of what was written, the sampler first, and of what verification found."""
        from genfast.exporting.nodes import operators

        sampler = next(iter(graphs.values()))
        counts = Counter(operators(sampler.model.graph))
        found_in = {"site": Counter[str](), "row": Counter[str](), "": Counter[str]()}
        for (name, graph), n in counts.items():
            found_in[graph if graph in found_in else ""][name] += n
        loop, row, rest = found_in.values()
        return cls(tuple(graphs), _sizes(graphs), sampler.opset, loop, row, rest, **vars(found))

    def _lines(self) -> list[str]:
        rows = [f"a row     {self.row.total()} nodes"] if self.row else []
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return [
            f"a site    {_listed(self.loop)}",
            *rows,
            f"around    {self.rest.total()} nodes; opset {self.opset}",
            f"verified  {self.sites:,} sites replayed in ONNX Runtime{skipped}; "
            f"{self.equal_samples:.1%} of whole samples equal the library's",
            f"scores    off by at most {self.score_gap:.1e} of their scale",
        ]


@dataclass(frozen=True)
class OnePassReport(Report):
    """Of a model whose samples take one pass.

    Args:
        nodes: How often each operator stands in each graph, by the graph's kind.
        numbers: Numbers that ONNX Runtime gave and the model gave, too.
        error: Largest difference of two of them, a share of their scale where that is above 1.
        unsaved: Why the sampler's folder is no saved model; None where it is one.
    """

    nodes: dict[str, Counter[str]]
    numbers: int
    error: float
    unsaved: str | None

    @classmethod
    def of(
        cls, graphs: Mapping[Path, OnnxGraph], numbers: int, error: float, unsaved: str | None
    ) -> OnePassReport:
        """The report of what was written, the sampler first, and of what verification found."""
        from genfast.exporting.nodes import operators

        kinds = {graph.kind: graph for graph in graphs.values()}
        nodes = {
            kind: Counter(name for name, _ in operators(graph.model.graph))
            for kind, graph in kinds.items()
        }
        opset = next(iter(graphs.values())).opset
        return cls(tuple(graphs), _sizes(graphs), opset, nodes, numbers, error, unsaved)

    def _lines(self) -> list[str]:
        parts = [kind for kind in ("decoder", "encoder") if kind in self.nodes]
        sampler = self.nodes.get("one_pass", Counter())
        before = sampler.total() - self.nodes["decoder"].total()
        drawn = [f"latents   {before} nodes from a seed to them"] if sampler else []
        return [
            *(f"{kind:9} {_listed(self.nodes[kind])}" for kind in parts),
            *drawn,
            f"standard  operators of opset {self.opset}",
            f"verified  {self.numbers:,} numbers in ONNX Runtime, off by at most {self.error:.1e}",
            *([] if self.unsaved is None else [f"saved     without weights: {self.unsaved}"]),
        ]


def _sizes(graphs: Mapping[Path, OnnxGraph]) -> tuple[int, ...]:
    return tuple(len(graph.data) for graph in graphs.values())


def _listed(counts: Counter[str]) -> str:
    operators = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{counts.total()} nodes: {operators}"
