"""What a training run leaves behind, and what its callbacks see."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class History:
    """What happened during training.

    Attributes:
        values: Of every finished step, each number that `training_step` returned; "loss" first.
        held_out: (steps done, held-out loss) after every epoch and at the end of training.
        steps: Steps finished; the weights are those after this many.
        epochs: Epochs finished.
        seconds: Wall time, held-out evaluation and callbacks included.
        stopped: Why it ended: "finished", "interrupted" (Ctrl-C) or "callback".
    """

    values: dict[str, list[float]] = field(default_factory=lambda: {"loss": []})
    held_out: list[tuple[int, float]] = field(default_factory=list)
    steps: int = 0
    epochs: int = 0
    seconds: float = 0.0
    stopped: str = "finished"

    @property
    def loss(self) -> list[float]:
        """The training loss of every finished step."""
        return self.values["loss"]

    def add(self, numbers: dict[str, float]) -> None:
        """Writes down a finished step."""
        self.steps += 1
        for name, number in numbers.items():
            self.values.setdefault(name, []).append(number)


@dataclass
class State:
    """Training as a callback sees it; a callback may change what it likes.

    Attributes:
        model: The model, in training mode.
        optimizer: Its optimizer.
        history: Everything so far, the step just finished included.
        numbers: What the last step returned, as numbers.
        fraction: How much of the run is done, 0 to 1.
        stop: Set it to True to end training after this step.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: History = field(default_factory=History)
    numbers: dict[str, float] = field(default_factory=dict)
    fraction: float = 0.0
    stop: bool = False

    @property
    def step(self) -> int:
        """Steps finished."""
        return self.history.steps

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return self.history.epochs

    @property
    def loss(self) -> float:
        """The training loss of the last step; NaN before the first."""
        return self.numbers.get("loss", float("nan"))


class Callback:
    """Called by `fit`; write the methods that are needed."""

    def on_step(self, state: State) -> None:
        """After every step."""

    def on_epoch(self, state: State) -> None:
        """After every epoch and its held-out loss; a last one cut short by a limit counts too."""
