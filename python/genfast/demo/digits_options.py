"""What the digits' demo is asked for, and what it measures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

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
        for name in ("seconds", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"demo: {name} must be above 0, got {getattr(self, name)}")
        for name in ("width", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"demo: {name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"demo: seed must be at least 0 and below 2**63, got {self.seed}")
        if self.out is not None and self.out.exists():
            raise FileExistsError(f"demo: {self.out} exists already; name another folder")


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
