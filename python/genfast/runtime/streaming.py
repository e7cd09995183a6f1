"""The step graph, run once a site or row, its states handed from one run to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.runtime.folder import Exported, State
from genfast.runtime.rows import Prompt, Rows
from genfast.runtime.uniforms import uniforms

__all__ = ["image_rows", "sites"]

Integers = NDArray[np.int64]

# Sites whose uniforms lie in memory.
_CHUNK = 256


class _Step:
    """The states of a batch, and the symbol that each row saw last: `classes` before its first."""

    def __init__(self, session: Any, exported: Exported, rows: Rows) -> None:
        self._session, self._start, n = session, exported.classes, len(rows.seed)
        self._states = {s.name: np.zeros((n, s.width), np.float32) for s in exported.states}
        options = {name: getattr(rows, name) for name in ("temperature", "top_k", "top_p")}
        self._options = {k: v[:, None] for k, v in options.items() if k in exported.inputs}
        self._outputs = ["drawn", *(f"{name}_next" for name in self._states)]
        self.symbol = np.full(n, self._start)

    def advance(self, uniform: NDArray[np.float32]) -> None:
        """One site; `symbol` is what was drawn."""
        seen = {"symbol": self.symbol[:, None], "uniform": uniform[:, None]}
        drawn, *states = self._session.run(self._outputs, seen | self._states | self._options)
        self._states = dict(zip(self._states, states, strict=True))
        self.symbol = drawn[:, 0]

    def force(self, symbol: Integers, begun: NDArray[np.bool_]) -> None:
        """One site whose symbol is known; rows that have not begun stay at their start."""
        self.advance(np.zeros(len(symbol), np.float32))
        for state in self._states.values():
            state[~begun] = 0
        self.symbol = np.where(begun, symbol, self._start)


def sites(session: Any, exported: Exported, rows: Rows, prompt: Prompt) -> Iterator[Integers]:
    """Runs the prompt, then draws without end; rows of shorter prompts start later::

        row 0   p p p p p|x x x
        row 1   . . . p p|x x x

    Args:
        session: Of the step graph.
        exported: What config.json says of it.
        rows: Options of each row.
        prompt: What each row begins with.

    Returns:
        An iterator of int64 (N,).
    """
    step = _Step(session, exported, rows)
    columns = prompt.symbols.shape[1]
    starts = columns - prompt.lengths
    for column in range(columns):
        place = np.maximum(column - starts, 0)[:, None]
        forced = np.take_along_axis(prompt.symbols, place, 1)[:, 0]
        step.force(forced, starts <= column)
    position = prompt.lengths
    while True:
        block = uniforms(rows.seed, rows.index, position, _CHUNK)
        for column in range(_CHUNK):
            step.advance(block[:, column])
            yield step.symbol
        position = position + _CHUNK


def image_rows(
    session: Any, exported: Exported, fed: dict[str, NDArray[Any]]
) -> Iterator[Integers]:
    """Draws images row by row.

    Args:
        session: Of the step graph.
        exported: What config.json says of it.
        fed: What the sampler's graph is fed, and `uniforms`, float32 (N, C H W).

    Returns:
        An iterator of int64 (N, C, W), of all rows from the top.
    """
    n, _, height, _ = fed["given"].shape
    chance = fed["uniforms"].reshape(n, height, -1)
    states = {state.name: _above(state, n) for state in exported.states}
    outputs = ["drawn", *(f"{name}_next" for name in states)]
    for y in range(height):
        here = {name: value[:, :, y] if value.ndim == 4 else value for name, value in fed.items()}
        here |= {"uniform": chance[:, y], **states}
        drawn, *after = session.run(outputs, {name: here[name] for name in exported.inputs})
        states = dict(zip(states, after, strict=True))
        yield drawn


def _above(state: State, n: int) -> NDArray[Any]:
    """What a state is above the image."""
    if state.symbols is not None:
        return np.full((n, state.columns or 0), state.symbols)
    return np.zeros((n, state.columns or 0, state.width), np.float32)
