"""The model itself, saved while it is trained."""

from __future__ import annotations

import math
from pathlib import Path

from torch import nn

from genfast.training.best import waited
from genfast.training.history import Callback, History, State
from genfast.training.run import Run


class Saver(Callback):
    """Saves the weights that count: with patience when they are the best, else when measured.

    Args:
        path: The folder, for `model.save(path, figures=...)`.
        run: Of the model.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._path, self._run = path, run

    def on_evaluation(self, state: State) -> None:
        """Saves what was just measured."""
        if self._run.best.weights is None or waited(state.history) == 0:
            self._save(self._run.average.module, figures(state.history, state.step))

    def on_end(self, state: State) -> None:
        """Saves what `fit` leaves."""
        step = state.step
        if self._run.delivers_best():
            step = min(state.history.held_out, key=lambda entry: entry[1])[0]
        self._save(state.model, figures(state.history, step))

    def _save(self, model: nn.Module, numbers: dict[str, float]) -> None:
        model.save(self._path, figures=numbers)  # type: ignore[operator]


def figures(history: History, step: int) -> dict[str, float]:
    """What is known of the weights after `step` steps, in numbers that JSON can hold."""
    held = history.held_out_at(step)
    numbers = {
        "held_out_loss": held,
        "held_out_bits_per_site": held / math.log(2) if history.in_sites else math.nan,
        "loss": history.loss[step - 1] if step else math.nan,
        "seconds": history.times[step - 1] if step else 0.0,
    }
    known = {name: number for name, number in numbers.items() if math.isfinite(number)}
    return {**known, "steps": step, "epochs": history.epoch_of(step + 1) - 1}
