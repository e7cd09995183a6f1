"""What the games' demo is asked for, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genfast.demo.asked import check_options
from genfast.demo.exported import Exported
from genfast.training import History

__all__ = ["DemoGAN", "GANReport", "ToyReport"]


@dataclass(frozen=True)
class DemoGAN:
    """Watch two games being learnt, of points and of handwritten digits, in four minutes."""

    seconds: float = 150.0
    """The longest to train on the digits; where the machine is fast, fewer do."""
    toy_seconds: float = 60.0
    """The longest to train on the points."""
    seed: int = 0
    """Of the weights, the batches, the split and the samples."""
    width: int = 32
    """Features of the largest map of the digits' networks."""
    frames: int = 48
    """Frames of each movie."""
    out: Path | None = None
    """A new folder for the pictures, the model and its sampler; else gan, gan-2, ..."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, FileExistsError for a folder."""
        check_options(self, ("seconds", "toy_seconds"), ("width", "frames"))


@dataclass(frozen=True)
class ToyReport:
    """What came of the game of points.

    Attributes:
        modes: Of the eight, those that have a fair number of samples.
        near: Share of the samples that lie near one.
        history: Of the training.
    """

    modes: int
    near: float
    history: History


@dataclass(frozen=True)
class GANReport:
    """What the games' demo measured.

    Attributes:
        toy: Of the points.
        folder: Where the pictures, the model and the sampler are.
        recognised: Share of the drawn digits that a classifier takes for what was asked for.
        real: The same of held-out digits.
        exported: What was exported, None without ONNX Runtime.
        history: Of the training on digits.
    """

    toy: ToyReport
    folder: Path
    recognised: float
    real: float
    exported: Exported | None
    history: History
