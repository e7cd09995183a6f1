"""`curves.png`: the losses over the steps."""

from __future__ import annotations

import importlib.util
import math
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genfast.training.history import Callback, History, State
from genfast.training.writing import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_PERIOD = 30.0  # seconds between pictures of a running training; one takes some 0.3
_FINE, _COARSE = 400, 50  # points of the curves of the training loss, each a mean over steps
_COLORS = ("tab:blue", "tab:green", "tab:purple", "tab:red")  # of the players


class Curves(Callback):
    """Draws the training loss of every player and the held-out loss, now and then and at the end.

    Nothing is drawn where matplotlib is not installed.

    Args:
        path: The picture, a PNG.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted = importlib.util.find_spec("matplotlib") is not None
        self._next = time.monotonic() + _PERIOD

    def on_evaluation(self, state: State) -> None:
        """Draws, unless the last picture is fresh."""
        if time.monotonic() >= self._next:
            self.on_stop(state)

    def on_stop(self, state: State) -> None:
        """Draws."""
        if self._wanted and state.step:
            draw(state.history, self._path)
            self._next = time.monotonic() + _PERIOD


def draw(history: History, path: Path) -> None:
    """Draws a history: bits a site where its losses are nats a site.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _plot(axes, history)
    with writing(path) as file:
        figure.savefig(file, format="png")


def _plot(axes: Axes, history: History) -> None:
    from matplotlib.ticker import MaxNLocator

    unit = 1 / math.log(2) if history.in_sites else 1.0
    shown = [
        _plot_loss(axes, np.array(column) * unit, color, name if history.players else "training")
        for (name, column), color in zip(history.losses.items(), cycle(_COLORS))
    ]
    if history.held_out:
        at, held = np.array(history.held_out).T
        axes.plot(at, held * unit, color="tab:orange", marker="o", markersize=3, label="held out")
        shown.append(held * unit)
    axes.set(xlabel="step", ylabel="bits per site" if history.in_sites else "loss")
    axes.set_ylim(*limits(np.concatenate(shown)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _plot_loss(
    axes: Axes, losses: NDArray[np.float64], color: str, label: str
) -> NDArray[np.float64]:
    """A loss of the steps that have one, faint, and means of it; returns what is shown."""
    (at,) = np.nonzero(~np.isnan(losses))
    steps, fine = binned(losses[at], _FINE, at.astype(np.float64) + 1)
    axes.plot(steps, fine, color=color, linewidth=0.8, alpha=0.35)
    axes.plot(*binned(fine, _COARSE, steps), color=color, label=label)
    return fine


def binned(
    losses: NDArray[np.float64], points: int, steps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A curve of at most `points`, each the means of a run."""
    parts = np.array_split(np.arange(len(losses)), min(points, len(losses)))
    middles, means = ([of[part].mean() for part in parts] for of in (steps, losses))
    return np.array(middles), np.array(means)


def limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest of the axis: the few huge losses of a beginning are cut off."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
