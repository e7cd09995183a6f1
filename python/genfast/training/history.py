"""What a training run leaves behind, and what its callbacks see."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

#: Why training ended; a process tells the others by the number of the word.
STOPS = ("finished", "interrupted", "callback", "early")


@dataclass
class History:
    """What happened during training.

    Attributes:
        values: Of every finished step, each number that `training_step` returned, joined over the
            parts and the processes; "loss" first. NaN where a step did not return it. Of several
            players each has its loss under its name, its other numbers as "player/number", and
            "loss" is of the one who began the step.
        held_out: (steps done, held-out loss) of every evaluation.
        players: Who moves, where several do; else empty.
        rates: Of every finished step, the learning rate of the first group of weights.
        times: Of every finished step, `seconds` at its end.
        epoch_steps: Steps done at the end of every epoch.
        steps: Steps finished; the weights are those after this many.
        seconds: Wall time, held-out evaluation and callbacks included; a resumed run goes on
            counting.
        stopped: Why it ended: "finished", "interrupted" (Ctrl-C), "callback" or "early" (patience).
    """

    values: dict[str, list[float]] = field(default_factory=lambda: {"loss": []})
    held_out: list[tuple[int, float]] = field(default_factory=list)
    players: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    epoch_steps: list[int] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    stopped: str = "finished"

    @property
    def loss(self) -> list[float]:
        """The training loss of every finished step."""
        return self.values["loss"]

    @property
    def losses(self) -> dict[str, list[float]]:
        """The training losses of those who have moved, by player; "loss" where one plays alone."""
        names = [name for name in self.players if name in self.values]
        return {name: self.values[name] for name in names or ["loss"]}

    @property
    def epochs(self) -> int:
        """Epochs finished."""
        return len(self.epoch_steps)

    @property
    def in_sites(self) -> bool:
        """Whether losses are nats a site: `training_step` returned its number of sites."""
        return "sites" in self.values

    def epoch_of(self, step: int) -> int:
        """The epoch that step number `step` (from 1) was part of, from 1."""
        return bisect_left(self.epoch_steps, step) + 1

    def held_out_at(self, step: int) -> float:
        """The held-out loss after `step` steps; NaN where none was taken."""
        at = bisect_left(self.held_out, step, key=lambda entry: entry[0])
        found = at < len(self.held_out) and self.held_out[at][0] == step
        return self.held_out[at][1] if found else math.nan

    def add(self, numbers: dict[str, float], rate: float) -> None:
        """Writes down a finished step."""
        for name in {**self.values, **numbers}:
            column = self.values.get(name) or [math.nan] * self.steps
            column.append(numbers.get(name, math.nan))
            self.values[name] = column
        self.rates.append(rate)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """All of it in what `torch.load(weights_only=True)` reads; columns as float64 tensors."""
        return {
            **vars(self),
            "values": {name: _column(numbers) for name, numbers in self.values.items()},
            "rates": _column(self.rates),
            "times": _column(self.times),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Becomes what `state_dict` wrote down; a run that was stopped from outside goes on."""
        self.values = {name: column.tolist() for name, column in saved["values"].items()}
        self.rates, self.times = saved["rates"].tolist(), saved["times"].tolist()
        self.held_out = [(int(step), float(loss)) for step, loss in saved["held_out"]]
        self.epoch_steps = [int(step) for step in saved["epoch_steps"]]
        self.steps, self.seconds = int(saved["steps"]), float(saved["seconds"])
        self.stopped = "early" if saved["stopped"] == "early" else "finished"


def _column(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@dataclass
class State:
    """Training as a callback sees it; a callback may change what it likes.

    Attributes:
        model: The model, in training mode.
        optimizer: Its optimizer.
        history: Everything so far, the step just finished included.
        numbers: What the last step returned, as numbers.
        fraction: How much of the run is done, 0 to 1.
        stop: Set it to True to end training after this step; of several processes the first one's
            counts.
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
    """Called by `fit`, in every process; write the methods that are needed."""

    def on_step(self, state: State) -> None:
        """After every step."""

    def on_evaluation(self, state: State) -> None:
        """After every held-out loss; without held-out data, where it would have been taken."""

    def on_epoch(self, state: State) -> None:
        """After every epoch and its held-out loss; a last one cut short by a limit counts too."""

    def on_stop(self, state: State) -> None:
        """After training; the model still has the weights of its last step."""

    def on_end(self, state: State) -> None:
        """After `on_stop`, when the model has the weights that `fit` leaves; not after an error."""
