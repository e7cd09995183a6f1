"""A model's pictures through its training, for a movie."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from genfast.data.movies import Pixels, gif
from genfast.data.pictures import png
from genfast.files.atomic import write_bytes
from genfast.training.history import Callback, State

__all__ = ["Frames"]

# Seconds that the last frame stays, before the movie begins again.
_REST = 1.5


class Frames(Callback):
    """Takes pictures, the first after the first step, more at the beginning than at the end.

    Frame i of N is taken when i^2 / N^2 of the run is done; the last one is of the weights that
    `fit` leaves. In a folder they survive what the run survives.

    Args:
        picture: Makes one of the model, in evaluation mode, and of the number of steps done; all of
            one shape.
        number: N, at least 1.
        folder: Where each is kept as a PNG file; None keeps them in memory alone.
    """

    def __init__(
        self,
        picture: Callable[[Any, int], Pixels],
        number: int = 48,
        folder: Path | None = None,
    ) -> None:
        if number < 1:
            raise ValueError(f"Frames: number must be at least 1, got {number}")
        self._picture, self._number, self._folder = picture, number, folder
        self._frames: dict[int, Pixels] = {}
        self._next = 0
        if folder is not None and folder.is_dir():
            self._frames = {int(path.stem): _read(path) for path in folder.glob("[0-9]*.png")}

    @property
    def frames(self) -> list[Pixels]:
        """Those that there are, in order."""
        return [self._frames[number] for number in sorted(self._frames)]

    def on_step(self, state: State) -> None:
        """Takes the frame that is due, if one is."""
        due = min(self._number - 1, math.isqrt(math.floor(self._number**2 * state.fraction)))
        there = self._next == 0 and due in self._frames  # of a run that goes on
        if due >= self._next and not there:
            self._take(due, state)
        self._next = max(self._next, due + 1)

    def on_end(self, state: State) -> None:
        """Takes the last frame."""
        self._take(self._number, state)

    def movie(self, seconds: float = 0.1) -> bytes:
        """All frames as a GIF, whose last one rests; see `genfast.data.gif`."""
        frames = self.frames
        return gif([*frames, *frames[-1:] * round(_REST / seconds)], seconds)

    def _take(self, number: int, state: State) -> None:
        frame = _in_evaluation(state.model, lambda: self._picture(state.model, state.step))
        self._frames[number] = frame
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(self._folder / f"{number:04}.png", png(frame))


def _in_evaluation(model: nn.Module, make: Callable[[], Pixels]) -> Pixels:
    was = model.training
    model.eval()
    try:
        return make()
    finally:
        model.train(was)


def _read(path: Path) -> Pixels:
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels
