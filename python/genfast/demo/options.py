"""What a demo is asked for, and what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genfast.demo.asked import check_options
from genfast.demo.exported import Exported
from genfast.demo.timing import Timing
from genfast.training import History

__all__ = ["Demo", "Report"]


@dataclass(frozen=True)
class Demo:
    """Train a character model for about a minute, read and time what it writes, export it."""

    seconds: float = 75.0
    """How long to train."""
    seed: int = 0
    """Of the weights, the batches and the sample."""
    width: int = 256
    """Units of the LSTM."""
    length: int = 800
    """Characters of the sample that is shown."""
    temperature: float = 0.7
    """Of the sample: lower is more careful."""
    text: Path | None = None
    """A UTF-8 text file of your own; else the standard library's pydoc topics."""
    prompt: str | None = None
    """What the sample begins with; else a sentence's first words, from the held-out text."""
    out: Path | None = None
    """A new folder that keeps the model and its exported sampler; else they are only shown."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range, FileExistsError for a folder."""
        check_options(self, ("seconds", "temperature"), ("width", "length"))


@dataclass(frozen=True)
class Report:
    """What a demo measured.

    Attributes:
        bits: Held-out bits per character of the model.
        ngram_bits: The same of the interpolated 5-gram.
        prompt: What the sample was to go on from.
        sample: The text that was drawn.
        known: Words of it that occur in the training text.
        words: Words of it.
        exported: What was exported, None without ONNX Runtime.
        timings: The compiled draw against the plain loop and the exported sampler.
        history: Of the training.
    """

    bits: float
    ngram_bits: float
    prompt: str
    sample: str
    known: int
    words: int
    exported: Exported | None
    timings: tuple[Timing, ...]
    history: History
