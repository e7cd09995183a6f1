"""One step of an optimizer on a batch, in turns, in parts and in several processes alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from genfast.models.turn import Turn
from genfast.nn.batch_norm import counting
from genfast.training import rows
from genfast.training.distributed import Processes
from genfast.training.options import Options
from genfast.training.players import Player, players
from genfast.training.precision import Precision
from genfast.training.rows import Batch
from genfast.training.turns import Turns

# The largest loss of a run that is still one: means over sites or rows are far below it.
_LARGEST = 1e10


class Step:
    """Moves of the optimizer along the gradient of the mean over the sites of a batch.

    A step has the turns that the model says, one where it plays alone. In each all of the batch is
    looked at, and the weights of one player move. With `s` the sites and `g` the gradient of the
    mean loss of a part of the batch, in one process, the gradient of the turn is
    `sum(s * g) / sum(s)` over parts and processes.

    Args:
        model: With `training_step`.
        optimizer: Of its weights.
        turns: Of the model.
        options: How the gradient is clipped, and how many parts a batch is cut into.
        precision: What the forward pass runs in.
        processes: Who else works at the batch.

    Attributes:
        device: Where the weights lie, and batches go.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        turns: Turns,
        options: Options,
        precision: Precision,
        processes: Processes,
    ) -> None:
        self._model, self._optimizer, self._turns = model, optimizer, turns
        self._clip, self._accumulate = options.clip, options.accumulate
        self._precision, self._scaler, self._processes = precision, precision.scaler, processes
        self._players = players(optimizer)
        self.device: torch.device = optimizer.param_groups[0]["params"][0].device

    def __call__(self, batch: Batch, step: int) -> dict[str, float]:
        """Takes the step; returns the numbers of it, "loss" first.

        Raises:
            FloatingPointError: A loss or a gradient is not finite, or a loss too large; no weight
                has changed since the turn that it belongs to began.
        """
        turns = self._turns.of(step)
        told = [(turn.player, self._move(batch, step, turn)) for turn in turns]
        self._processes.unite(self._model.buffers())
        return joined(told)

    def _move(self, batch: Batch, step: int, turn: Turn) -> dict[str, float]:
        """Takes one turn; returns the numbers of it."""
        player, where = self._players[turn.player], _where(step, turn)
        self._optimizer.zero_grad(set_to_none=True)
        mean, reference = Mean(), 0.0
        with player.moving():
            for first, part in rows.parts(batch, self._accumulate):
                reference = self._add(part, step, replace(turn, index=first), mean, reference)
        if not 0 < mean.sites < math.inf:
            raise ValueError(f"fit: the sites of a batch must be above 0, got {mean.sites}")
        self._finish(player, reference / mean.sites, where)
        return mean.numbers()

    def _add(self, part: Batch, step: int, turn: Turn, mean: Mean, reference: float) -> float:
        """Adds `sites / reference` times a part's gradient; the first part's sites are the unit."""
        mine, first, present = self._processes.mine(part)
        turn = replace(turn, index=turn.index + first)
        with self._precision.autocast(), counting(present):
            result = self._turns.ask(self._model, rows.move(mine, self.device), step, turn)
        own = sites(result, mine) * present
        numbers, total = self._processes.means(_numbers(result), own)
        _check("loss", numbers["loss"], _LARGEST, _where(step, turn))
        mean.add(numbers, total)
        reference = reference or total
        weight = own / reference if own else 0.0
        loss: Any = result["loss"] if weight == 1 else result["loss"] * weight
        self._scaler.scale(loss).backward()
        return reference

    def _finish(self, player: Player, factor: float, where: str) -> None:
        """Moves the player by the gradient, `factor` times what has been added up."""
        self._processes.add_gradients(player.parameters)
        self._scaler.unscale_(self._optimizer)
        gradients = [p.grad for p in player.parameters if p.grad is not None]
        if factor != 1:
            for gradient in gradients:
                gradient.mul_(factor)
        norm = nn.utils.get_total_norm(gradients)
        if not self._scaler.is_enabled():
            _check("norm of the gradient", float(norm), math.inf, where)
        if self._clip is not None:
            nn.utils.clip_grads_with_norm_(player.parameters, self._clip, norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._precision.check(where)


class Mean:
    """Means over sites, from those of parts; of one part they are its own numbers, to the bit."""

    def __init__(self) -> None:
        self.sites = 0.0
        self._values: dict[str, float] = {}

    def add(self, numbers: dict[str, float], sites: float) -> None:
        """Takes in the means over `sites` more."""
        self.sites += sites
        for name, number in numbers.items():
            old = self._values.get(name, number)
            self._values[name] = old + (number - old) * (sites / self.sites if sites else 0.0)

    def numbers(self) -> dict[str, float]:
        """The means; "sites" among them is their sum."""
        if "sites" in self._values:
            self._values["sites"] = self.sites
        return self._values


def joined(turns: Sequence[tuple[str | None, dict[str, float]]]) -> dict[str, float]:
    """The numbers of a step from those of its turns, in which "loss" is of who moved first.

    The loss of a player goes by the player's name, other numbers as "player/number"; who moves
    twice has the mean of both. Of one who plays alone they are as they came.
    """
    columns: dict[str, list[float]] = {}
    for player, numbers in turns:
        for name, number in numbers.items():
            columns.setdefault(_column(player, name), []).append(number)
    means = {name: sum(column) / len(column) for name, column in columns.items()}
    return {"loss": means[_column(turns[0][0], "loss")], **means}


def _column(player: str | None, name: str) -> str:
    if player is None:
        return name
    return player if name == "loss" else f"{player}/{name}"


def sites(result: Mapping[str, Any], batch: Batch) -> float:
    """How many sites a loss is the mean over: what the step says, else the rows of the batch."""
    return float(result["sites"] if "sites" in result else rows.count(batch))


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """What a step returned, where it is a number; the loss first."""
    numbers = {"loss": float(result["loss"].detach())}
    for name, value in result.items():
        if isinstance(value, Tensor) and value.numel() == 1:
            numbers[name] = float(value.detach())
        elif isinstance(value, int | float):
            numbers[name] = float(value)
    return numbers


def _where(step: int, turn: Turn) -> str:
    return f"step {step}" + (f" in the turn of {turn.player}" if turn.player is not None else "")


def _check(name: str, number: float, largest: float, where: str) -> None:
    if not math.isfinite(number) or abs(number) > largest:
        beyond = f", beyond {largest:g}" if math.isfinite(number) else ""
        raise FloatingPointError(
            f"fit: the {name} of {where} is {number}{beyond}; the weights are those before it; "
            "a lower lr or clip may help"
        )
