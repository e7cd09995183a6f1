"""The live line of a training run."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from genfast.training.history import Callback, State

if TYPE_CHECKING:
    from typing import Self

    from rich.progress import Progress

_REFRESH = 0.2  # seconds; a line a step would slow small models down


class ProgressLine(Callback):
    """Loss, held-out loss, speed and time left, on standard error.

    Nothing at all is written when it is not wanted or standard error is no terminal.

    Args:
        wanted: Whether to show it.
    """

    def __init__(self, wanted: bool) -> None:
        self._shown = wanted and sys.stderr.isatty()
        self._line: Progress | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        if self._shown:
            self._line = _line()
            self._line.start()
            self._line.add_task("training", total=1.0, numbers="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._line is not None:
            self._line.stop()

    def on_step(self, state: State) -> None:
        """Shows a step, unless the last one shown is fresh."""
        if self._line is not None and time.monotonic() >= self._next:
            self._show(self._line, state)

    def on_epoch(self, state: State) -> None:
        """Shows the held-out loss."""
        if self._line is not None:
            self._show(self._line, state)

    def _show(self, line: Progress, state: State) -> None:
        self._next = time.monotonic() + _REFRESH
        speed = state.step / max(state.history.seconds, 1e-9)
        losses = state.history.losses.items()
        numbers = "  ".join(f"{name} {_latest(column):.4f}" for name, column in losses)
        if state.history.held_out:
            numbers += f"  held out {state.history.held_out[-1][1]:.4f}"
        numbers += f"  step {state.step:,}  {speed:.1f}/s"
        line.update(line.task_ids[0], completed=state.fraction, numbers=numbers)


def _latest(column: list[float]) -> float:
    """The last number of a column that has one."""
    return next((number for number in reversed(column) if not math.isnan(number)), math.nan)


def _line() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=False,
    )
