"""What the demo of latents is asked for, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genfast.demo.asked import check_options
from genfast.demo.exported import Exported
from genfast.training import History

__all__ = ["DemoLatents", "LatentsReport", "Measured"]


@dataclass(frozen=True)
class DemoLatents:
    """Train a variational autoencoder on handwritten digits for two minutes, and look inside."""

    seconds: float = 100.0
    """The longest to train; where the machine is fast, fewer do."""
    seed: int = 0
    """Of the weights, the batches, the split and the samples."""
    latent: int = 8
    """Numbers that a digit is told by, beside its class."""
    width: int = 256
    """Units of a layer."""
    out: Path | None = None
    """A new folder for pictures, model and what is exported; else latents, latents-2, ..."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, FileExistsError for a folder."""
        check_options(self, ("seconds",), ("latent", "width"))


@dataclass(frozen=True)
class Measured:
    """Of the held-out digits, and of samples.

    Attributes:
        bits: Bits per dim, by the importance-weighted bound.
        elbo_bits: The same by the plain bound.
        pixel_bits: Of independent pixels, each with its frequencies in the class.
        error: Root mean square of reconstructions, in levels.
        pca_error: The same of as many principal components, of deviations from the class's mean.
        recognised: Share of samples that a classifier of the real digits takes for their class.
        held_recognised: Share of the held-out digits.
    """

    bits: float
    elbo_bits: float
    pixel_bits: float
    error: float
    pca_error: float
    recognised: float
    held_recognised: float


@dataclass(frozen=True)
class LatentsReport:
    """What the demo of latents measured.

    Attributes:
        measured: Of the held-out digits, and of samples.
        folder: Where the pictures, the model and what is exported are.
        exported: What was exported, None without ONNX Runtime.
        history: Of the training.
    """

    measured: Measured
    folder: Path
    exported: Exported | None
    history: History
