"""Programs of random shape: sums of every kind over every sort of ref, in either order.

Weights are small integers and activations piecewise linear if asked for, so that every number that
a draw computes is exact in float32, however its sums are cut and ordered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

GATES = {"none": 1, "relu": 1, "tanh": 1, "sigmoid": 1, "gate": 2, "lstm": 4, "gru": 3}
WIDTHS = (1, 2, 3, 5, 8, 16, 17, 24, 33)


@dataclass
class Made:
    """A buffer, and how it may be read.

    Args:
        number: in the program.
        width: of its values.
        phase: of its writer.
        place: of the writer in the list.
    """

    number: int
    width: int
    phase: str
    place: int


@dataclass
class RandomProgram:
    """A program, and what is known of it.

    Args:
        core: the compiled core.
        seed: of everything in it.
        raster: whether it draws images.
        exact: integers and piecewise-linear activations alone.
    """

    core: Any
    seed: int
    raster: bool
    exact: bool
    classes: int = 0
    draws: int = 1
    shape: tuple[int, int] = (1, 0)
    inputs: dict[int, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.classes = int(self.rng.integers(2, 40))
        self.draws = int(self.rng.integers(1, 3)) if self.raster else 1
        if self.raster:
            self.shape = (int(self.rng.integers(1, 6)), int(self.rng.integers(1, 7)))
        order = "raster" if self.raster else "sequence"
        self.program = self.core.Program(order, *self.shape)
        self._made: list[Made] = []
        self._place = 0
        self.symbols = [
            self.program.buffer(f"x{i}", 1, "sym", self.classes) for i in range(self.draws)
        ]
        self._build()
        self.program.finish()

    @property
    def sites(self) -> int:
        """Sites that a test draws."""
        return self.shape[0] * self.shape[1] if self.raster else 6

    def _build(self) -> None:
        for phase in ("start", "row"):
            if self.rng.random() < 0.5:
                self._add_input(phase)
        if self._readable("start"):
            self._add_sum("start")
        for _ in range(int(self.rng.integers(0, 4)) if self.raster else 0):
            self._add_sum("row")
        for draw in range(self.draws):
            for _ in range(int(self.rng.integers(1, 5))):
                self._add_sum("site", drawn=draw)
            scores = self._add_sum("site", width=self.classes, epilogue="none", drawn=draw)
            self.program.draw("site", [self.symbols[draw]], "categorical", (scores, 0, 0))
            self._place += 1

    def _add_input(self, phase: str) -> None:
        width = int(self.rng.choice(WIDTHS))
        buffer = self.program.buffer(f"given_{phase}", width, "f32", 0)
        self.program.input(buffer, phase)
        self.inputs[buffer] = (phase, width)
        self._made.append(Made(buffer, width, phase, self._place))
        self._place += 1

    def _weight(self, *shape: int) -> Any:
        if self.exact:
            return (self.rng.random(shape) < 0.3).astype(np.float32) * self.rng.choice(
                np.float32([-1, 1]), shape
            )
        scale = np.float32(1.5 * shape[-1] ** -0.5)
        return self.rng.uniform(-1, 1, shape).astype(np.float32) * scale

    def _readable(self, phase: str) -> list[Made]:
        return [made for made in self._made if self._offset(made, phase) is not None]

    def _offset(self, made: Made, phase: str) -> tuple[int, int] | None:
        """Where a sum of a phase may read a buffer, at random; None if nowhere."""
        if made.phase == "start":
            return (0, 0)
        if phase == "start":
            return None
        away = int(self.rng.integers(-2, 3))
        given = made.number in self.inputs
        if not self.raster:
            back = int(self.rng.integers(1, 4))
            return (0, 0) if given or self.rng.random() < 0.6 else (0, -back)
        if self.rng.random() < 0.4:
            return (-int(self.rng.integers(1, 3)), away)
        if made.phase == "row":
            return (0, away)
        return (0, -abs(away)) if phase == "site" else (-1, away)

    def _ref(self, made: Made, phase: str) -> tuple[int, int, int]:
        offset = self._offset(made, phase)
        assert offset is not None
        return (made.number, *offset)

    def _looks(self, phase: str, width: int, drawn: int) -> list[Any]:
        """Symbols of earlier sites, and those drawn at this one."""
        terms = []
        for number, symbol in enumerate(self.symbols):
            if phase == "start" or self.rng.random() < 0.3:
                continue
            away = int(self.rng.integers(-2, 3))
            if phase == "site" and number < drawn and self.rng.random() < 0.7:
                ref = (symbol, 0, 0)
            elif phase == "site" and (not self.raster or self.rng.random() < 0.5):
                ref = (symbol, 0, -1 - abs(away))
            else:
                ref = (symbol, -1, away)
            terms.append(("look", self._weight(self.classes + 1, width), ref))
        return terms

    def _add_sum(self, phase: str, *, width: int = 0, epilogue: str = "", drawn: int = 0) -> int:
        kinds = ["none", "relu"] if self.exact else [*GATES]
        if phase != "site" or self.raster:
            kinds = [kind for kind in kinds if kind not in ("lstm", "gru")]
        epilogue = epilogue or str(self.rng.choice(kinds))
        width = width or int(self.rng.choice(WIDTHS))
        out = GATES[epilogue] * width
        sources = self._readable(phase)
        chosen = [self.rng.choice(len(sources)) for _ in range(min(3, len(sources)))]
        terms: list[Any] = []
        for made in (sources[i] for i in chosen):
            ref = self._ref(made, phase)
            add = made.width == out and self.rng.random() < 0.7
            terms.append(("add", None, ref) if add else ("mat", self._weight(out, made.width), ref))
        terms += self._looks(phase, out, drawn)
        if phase == "site" and not any(kind == "mat" for kind, *_ in terms) and self._made:
            made = self._made[-1]
            terms.append(("mat", self._weight(out, made.width), self._ref(made, phase)))
        bias = self._weight(out) if self.rng.random() < 0.7 else None
        return self._write(phase, epilogue, bias, terms, width)

    def _write(self, phase: str, epilogue: str, bias: Any, terms: list[Any], width: int) -> int:
        buffer = int(self.program.buffer(f"b{self._place}", width, "f32", 0))
        targets, states = [buffer], []
        if epilogue == "lstm":
            targets.append(self.program.buffer(f"c{self._place}", width, "f32", 0))
            states = [(targets[1], 0, -1)]
        if epilogue == "gru":
            part = self.program.buffer(f"r{self._place}", 3 * width, "f32", 0)
            weight = self._weight(3 * width, width)
            self.program.sum("site", [part], "none", None, [("mat", weight, (buffer, 0, -1))], [])
            states = [(part, 0, 0), (buffer, 0, -1)]
        self.program.sum(phase, targets, epilogue, bias, terms, states)
        self._made.append(Made(buffer, width, phase, self._place))
        self._place += 1
        return buffer

    def given(self, n: int) -> tuple[dict[int, Any], dict[int, Any]]:
        """Inputs from the start, float32 (n, width), and ahead of rows, (n, sites, width)."""
        rng = np.random.default_rng(self.seed + 1)
        found: tuple[dict[int, Any], dict[int, Any]] = ({}, {})
        for buffer, (phase, width) in self.inputs.items():
            shape = (n, width) if phase == "start" else (n, self.sites, width)
            values = rng.integers(-2, 3, shape) if self.exact else rng.normal(size=shape)
            found[phase == "row"][buffer] = values.astype(np.float32)
        return found
