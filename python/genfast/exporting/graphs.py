"""The graphs of one export, with the options that they share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from genfast.exporting.nodes import OPSET
from genfast.exporting.sampler import build_sampler
from genfast.exporting.step import build_step
from genfast.program import Program

__all__ = ["Graph", "Options", "build"]


@dataclass(frozen=True)
class Options:
    """What an export was asked for.

    Args:
        top_k: Best classes kept, "input", or None for all.
        top_p: Mass kept, "input", or None for all.
        stop: Symbol after which a row ends, or None.
    """

    top_k: int | str | None = None
    top_p: float | str | None = None
    stop: int | None = None

    @property
    def kept(self) -> dict[str, Any]:
        """Those that bend every draw."""
        return {"top_k": self.top_k, "top_p": self.top_p}


@dataclass(frozen=True)
class Graph:
    """One graph.

    Args:
        kind: "sampler", "uniforms" or "step".
        model: The `onnx.ModelProto`.
        classes: Symbols that it draws from.
        options: What it was built with.
        states: Name and width of each carried value; of a step graph only.
    """

    kind: str
    model: Any
    classes: int
    options: Options
    states: tuple[tuple[str, int], ...] = ()

    @cached_property
    def data(self) -> bytes:
        """The file."""
        data: bytes = self.model.SerializeToString()
        return data

    @property
    def opset(self) -> int:
        """Of the standard operators."""
        return OPSET

    @property
    def inputs(self) -> list[str]:
        """Their names."""
        return [value.name for value in self.model.graph.input]

    @property
    def outputs(self) -> list[str]:
        """Their names."""
        return [value.name for value in self.model.graph.output]


def build(program: Program, options: Options, *, uniforms: bool) -> dict[str, Graph]:
    """Every graph of an export by its kind; "uniforms" only on demand."""
    classes = program.instructions[-1].targets[0].vocabulary
    graphs = {}
    for kind in ("sampler", *(("uniforms",) if uniforms else ())):
        given = kind == "uniforms"
        model = build_sampler(program, uniforms=given, **options.kept, stop=options.stop)
        graphs[kind] = Graph(kind, model, classes, options)
    model, states = build_step(program, **options.kept)
    widths = tuple((state.name, state.border.shape[1]) for state in states)
    graphs["step"] = Graph("step", model, classes, options, widths)
    return graphs
