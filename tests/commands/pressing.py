"""A callback that presses Ctrl-C."""

from __future__ import annotations

import signal
from typing import Any

__all__ = ["CtrlC"]


class CtrlC:
    """Presses Ctrl-C during a step.

    Args:
        step: Which, from 1.
    """

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, state: Any) -> None:
        if state.step == self._step:
            signal.raise_signal(signal.SIGINT)
