"""What the digits' demo is asked for, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genfast.demo.asked import check_options
from genfast.demo.drawing import DrawTiming
from genfast.demo.exported import Exported
from genfast.training import History

__all__ = ["Bits", "DemoDigits", "DigitsReport"]


@dataclass(frozen=True)
class DemoDigits:
    """Train a PixelCNN on handwritten digits for two minutes, look at what it draws, export it."""

    seconds: float = 120.0
    """The longest to train; where the machine is fast, fewer do."""
    seed: int = 0
    """Of the weights, the batches, the split and the samples."""
    width: int = 48
    """Features of a layer."""
    depth: int = 5
    """Layers."""
    temperature: float = 1.0
    """Of the samples: lower is more careful."""
    out: Path | None = None
    """A new folder for the pictures, the model and its sampler; else digits, digits-2, ..."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, FileExistsError for a folder."""
        check_options(self, ("seconds", "temperature"), ("width", "depth"))


@dataclass(frozen=True)
class Bits:
    """Bits per dim of the held-out digits.

    Attributes:
        model: Of the model.
        pixels: Of independent pixels, each with its frequencies in the class.
        png: Of all of them in one PNG.
        png_each: Of each in a PNG of its own.
    """

    model: float
    pixels: float
    png: float
    png_each: float


@dataclass(frozen=True)
class DigitsReport:
    """What the digits' demo measured.

    Attributes:
        bits: Of the held-out digits.
        folder: Where digits.png, completed.png, model and sampler are.
        exported: What was exported, None without ONNX Runtime.
        timing: The compiled draw against PyTorch.
        history: Of the training.
    """

    bits: Bits
    folder: Path
    exported: Exported | None
    timing: DrawTiming
    history: History
