"""A simulated GPU, on which the Python side runs as on a real one, and models to draw from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from genfast import engines
from genfast._extension import core
from genfast.heads import Categorical, LogisticMixture
from genfast.models import SequenceModel
from genfast.models.pixelcnn import PixelCNN


@dataclass(frozen=True)
class SimulatedEngine(engines.CudaEngine):
    """Draws by what runs on a GPU, on a host that watches every access; arrays lie on the CPU.

    Shared memory is small, so that blocks must work together: the LSTM here is drawn by two
    clusters of four blocks, all else by a grid of eight.
    """

    shared_bytes: ClassVar[int] = 12000

    @staticmethod
    def refusal(number: int) -> str | None:
        return None

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def stream(self) -> int:
        return 0

    def _executor(self, program: Any) -> Any:
        executor = core.SimulatedExecutor(
            program, self.precision, cluster=4, blocks=8, shared_bytes=self.shared_bytes
        )
        # That of a GPU plans at once.
        executor.plan(1)
        return executor


def widened(model: Any, factor: float) -> Any:
    """With scores as wide as those of a trained model."""
    for parameter in model.parameters():
        parameter.data *= factor
    return model


def sequence_model(cell: str = "lstm", classes: int = 11, **options: Any) -> SequenceModel:
    torch.manual_seed(0)
    sizes = {"width": 17, "depth": 2} | options
    model: SequenceModel = widened(SequenceModel(Categorical(classes), cell=cell, **sizes), 3.0)
    return model


def image_model(
    shape: tuple[int, int, int] = (1, 4, 3), levels: int = 6, *, mixture: bool = False, **sizes: Any
) -> PixelCNN:
    torch.manual_seed(0)
    head = LogisticMixture(levels=levels, mixtures=2, channels=shape[0]) if mixture else None
    model = PixelCNN(shape, levels, head=head, **({"width": 6, "depth": 1} | sizes))
    made: PixelCNN = widened(model, 1.7)
    return made
