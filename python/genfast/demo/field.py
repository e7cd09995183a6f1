"""A game of two numbers as a picture: data, samples, and what the discriminator believes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from genfast.data.movies import Pixels

__all__ = ["FieldPicture"]

_PIXELS, _DPI = 480, 100
_DATA, _FAKE, _INK = "#1f4e8c", "#e8590c", "#333333"
# From what is held to be drawn to what is held to be real.
_FIELD = ("#f6d9c4", "#fbf3ec", "#f7f7f5", "#e6eef6", "#bcd3ea")
_BANDS, _SIDE = 14, 96
_SIZE = 3.0


class FieldPicture:
    """Draws frames of a game, all to one scale; matplotlib draws them.

    The background is the discriminator's score, from its lowest value in the picture (orange, held
    to be drawn) over its middle to its highest (blue, held to be real).

    Args:
        data: Real points, float32 (N, 2).
        n: Samples that are shown, the same latents in every frame.
        seed: Of the samples.
        reach: The axes go from minus this to this.
    """

    def __init__(
        self, data: Float[Tensor, "n 2"], n: int = 800, seed: int = 0, reach: float = 3.0
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure

        self._data, self._n, self._seed, self._reach = data[:n], n, seed, reach
        self._colours = LinearSegmentedColormap.from_list("field", _FIELD)
        figure = Figure(figsize=(_PIXELS / _DPI, _PIXELS / _DPI), dpi=_DPI)
        self._canvas: Any = FigureCanvasAgg(figure)
        self._axes: Any = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        line = torch.linspace(-reach, reach, _SIDE)
        self._line = line.numpy()
        y, x = torch.meshgrid(line, line, indexing="ij")
        self._plane = torch.stack([x, y], -1).flatten(0, 1)

    def __call__(self, model: Any, step: int, told: str = "") -> Pixels:
        """A frame, uint8 (480, 480, 3).

        Args:
            model: A GAN of shape (2,), in evaluation mode.
            step: Steps of its training, for the title.
            told: What else the title says.
        """
        device = next(model.parameters()).device
        with torch.no_grad():
            scores = model.score(self._plane.to(device)).cpu()
            drawn = model.sample(self._n, seed=self._seed).cpu()
        self._axes.clear()
        self._draw(scores.view(_SIDE, _SIDE).numpy(), drawn.numpy(), step, told)
        self._canvas.draw()
        pixels: Pixels = np.asarray(self._canvas.buffer_rgba())[..., :3].copy()
        return pixels

    def _draw(self, scores: Any, drawn: Any, step: int, told: str) -> None:
        axes, reach = self._axes, self._reach
        low, high = float(scores.min()), float(scores.max())
        edges = np.linspace(low, max(high, low + 1e-6), _BANDS + 1)
        axes.contourf(self._line, self._line, scores, levels=edges, cmap=self._colours)
        real = self._data.numpy()
        axes.scatter(real[:, 0], real[:, 1], s=_SIZE, color=_DATA, linewidths=0)
        axes.scatter(drawn[:, 0], drawn[:, 1], s=_SIZE, color=_FAKE, linewidths=0)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
        top, bottom = 0.965, 0.035
        words = {"transform": axes.transAxes, "fontsize": 11, "va": "center"}
        axes.text(0.03, top, f"step {step:,}", color=_INK, **words)
        axes.text(0.97, top, told, color=_INK, ha="right", **words)
        axes.text(0.03, bottom, "data", color=_DATA, weight="bold", **words)
        axes.text(0.97, bottom, "samples", color=_FAKE, weight="bold", ha="right", **words)
