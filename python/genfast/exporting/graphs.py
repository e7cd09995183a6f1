"""The graphs of one export, with the options that they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from genfast.exporting.heads import draws_of
from genfast.exporting.onnx_graph import OnnxGraph
from genfast.exporting.raster import build_raster
from genfast.exporting.raster_step import build_raster_step
from genfast.exporting.sampler import build_sampler
from genfast.exporting.step import build_step
from genfast.program import Buffer, Program

__all__ = ["Graph", "Options", "State", "build"]


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
class State:
    """A value that a step graph is given and gives back, at first what lies outside.

    Args:
        name: Of the input; `_next` behind it is the output's.
        width: Of a sequence's, float32 (N, width).
        columns: Of an image's, float32 (N, columns, width).
        symbols: Of an image's of symbols, int64 (N, columns): how many there are, which is what it
            holds at first. The others are 0 at first.
    """

    name: str
    width: int
    columns: int | None = None
    symbols: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """As JSON, without what is None."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Graph(OnnxGraph):
    """A graph that draws site by site.

    Args:
        kind: "sampler", "uniforms" or "step".
        model: The `onnx.ModelProto`.
        classes: Symbols that it draws from.
        options: What it was built with.
        states: Each carried value; of a step graph only.
        shape: (C, H, W) of an image; None for a sequence.
        parts: Draws of a pixel: C, a channel each; or 1, which gives all channels.
        draws: Uniforms that one of them owns.
        conditions: Size of each condition by its name: labels, or width.
    """

    classes: int
    options: Options
    states: tuple[State, ...] = ()
    shape: tuple[int, int, int] | None = None
    parts: int = 1
    draws: int = 1
    conditions: dict[str, int] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """Of an image."""
        _, rows, columns = self.shape or (0, 0, 0)
        return rows * columns

    def config(self, model: Any) -> dict[str, Any]:
        """What config.json says of it."""
        symbols = getattr(model, "symbols", None)
        images = ("shape", "parts", "draws", "conditions") if self.shape else ()
        return {
            "classes": self.classes,
            "symbols": None if symbols is None else symbols.config(),
            **{name: getattr(self, name) for name in images},
            "top_k": self.options.top_k,
            "top_p": self.options.top_p,
            "stop": self.options.stop,
            **({"states": [state.config for state in self.states]} if self.kind == "step" else {}),
        }


def build(program: Program, options: Options, *, uniforms: bool) -> dict[str, Graph]:
    """Every graph of an export by its kind; "uniforms" only on demand."""
    of = _sequence if program.shape is None else _images
    kinds = ("sampler", *(("uniforms",) if uniforms else ()), "step")
    return {kind: of(program, options, kind) for kind in kinds}


def _sequence(program: Program, options: Options, kind: str) -> Graph:
    classes = program.instructions[-1].targets[0].vocabulary
    if kind == "step":
        model, carried = build_step(program, **options.kept)
        states = tuple(State(state.name, state.border.shape[1]) for state in carried)
        return Graph(kind, model, classes, options, states)
    given = kind == "uniforms"
    model = build_sampler(program, uniforms=given, **options.kept, stop=options.stop)
    return Graph(kind, model, classes, options)


def _images(program: Program, options: Options, kind: str) -> Graph:
    assert program.shape is not None
    states: tuple[State, ...] = ()
    if kind == "step":
        model, kept = build_raster_step(program, **options.kept)
        states = tuple(_state(row.name, row.buffer, program.shape[1]) for row in kept)
    else:
        model = build_raster(program, uniforms=kind == "uniforms", **options.kept)
    draws = draws_of(program)
    return Graph(
        kind,
        model,
        draws[0].targets[0].vocabulary,
        options,
        states,
        (program.values, *program.shape),
        len(draws),
        draws[0].draws,
        {given.target.name: _size(given.target) for given in program.inputs},
    )


def _state(name: str, buffer: Buffer, columns: int) -> State:
    return State(name, buffer.width, columns, buffer.vocabulary or None)


def _size(buffer: Buffer) -> int:
    return buffer.vocabulary or buffer.width
