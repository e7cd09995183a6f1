"""The same latents through training, as the frames of a movie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from genfast.data import grid
from genfast.models.latent import LatentModel
from genfast.training import Callback, State

__all__ = ["Film"]

Pixels = npt.NDArray[np.uint8]

# Frames of a training run, close together where most changes: at its beginning.
_FRAMES, _POWER = 48, 2.0
# So many times the last frame is shown before the movie begins again.
_PAUSE = 15


class Film(Callback):
    """Decodes fixed latents every so often: frame i of F when (i / F)**2 of the run is done.

    Args:
        model: What is trained.
        z: The latents, (N, L).
        classes: Their labels, where the model has classes.
        columns: Of the grid that a frame is.
    """

    def __init__(self, model: LatentModel, z: Tensor, classes: Tensor | None, columns: int) -> None:
        self._model, self._z, self._classes, self._columns = model, z, classes, columns
        self._frames: list[Pixels] = [self._frame()]

    def on_step(self, state: State) -> None:
        if state.fraction >= (len(self._frames) / _FRAMES) ** _POWER:
            self._frames.append(self._frame())

    def frames(self) -> list[Pixels]:
        """All frames, and one of the model as it is now, for a while."""
        return [*self._frames, *[self._frame()] * _PAUSE]

    def _frame(self) -> Pixels:
        made = self._model.decoded(self._z, self._classes)
        return grid(made.cpu(), None, self._columns)
