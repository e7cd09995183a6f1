"""The numbers of a training run: how long, how fast, how much is held back."""

from __future__ import annotations

import math
from dataclasses import dataclass

_PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Options:
    """What `fit` was asked for, checked. The attributes are the arguments of `fit`."""

    epochs: int | None
    steps: int | None
    seconds: float | None
    batch_size: int
    lr: float
    weight_decay: float
    betas: tuple[float, float]
    clip: float | None
    schedule: str
    warmup: float
    seed: int
    accumulate: int = 1
    precision: str = "auto"
    ema: float | None = None
    patience: int | None = None
    evaluate_every: int | None = None

    def __post_init__(self) -> None:
        needed = {"batch_size", "accumulate", "lr"}
        for name in (
            "epochs", "steps", "batch_size", "accumulate", "patience", "evaluate_every"
        ):  # fmt: skip
            _whole_number(name, getattr(self, name), optional=name not in needed)
        for name in ("seconds", "clip", "lr"):
            _positive(name, getattr(self, name), optional=name not in needed)
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"fit: weight_decay must be at least 0, got {self.weight_decay}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"fit: warmup must be at least 0 and below 1, got {self.warmup}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"fit: ema must be above 0 and below 1, got {self.ema}")
        _one_of("schedule", self.schedule, ("cosine", "constant"))
        _one_of("precision", self.precision, _PRECISIONS)
        if self.epochs is self.steps is self.seconds is None:
            raise ValueError("fit: one of epochs, steps and seconds must be given")

    def fraction(self, epochs: float, steps: float, seconds: float) -> float:
        """How much of the run is done; whichever limit comes first counts."""
        done = [(epochs, self.epochs), (steps, self.steps), (seconds, self.seconds)]
        return min(1.0, max(value / limit for value, limit in done if limit is not None))

    def factor(self, fraction: float) -> float:
        """What the learning rates are multiplied by: a linear rise, then half a cosine to zero."""
        rise = min(1.0, fraction / self.warmup) if self.warmup else 1.0
        return (
            rise if self.schedule == "constant" else rise * (1 + math.cos(math.pi * fraction)) / 2
        )


def _one_of(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        listed = f"{', '.join(words[:-1])} or {words[-1]}"
        raise ValueError(f"fit: {name} must be {listed}, got {value!r}")


def _whole_number(name: str, value: object, *, optional: bool) -> None:
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"fit: {name} must be a whole number of at least 1, got {value!r}")


def _positive(name: str, value: object, *, optional: bool) -> None:
    if optional and value is None:
        return
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"fit: {name} must be a number above 0, got {value!r}")
