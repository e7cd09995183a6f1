"""Whose turns the steps of a model have, what its `training_step` is told, and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genfast.models.turn import Turn
from genfast.random import fold
from genfast.training.rows import Batch


class Turns:
    """The turns of every step: those that `model.turns(step)` names, else one of nobody by name.

    Args:
        model: With `training_step`, told of its turn where it has an argument `turn`.
        optimizer: Of its weights; the groups of a game name their players.
        seed: The run's.

    Attributes:
        players: Who moves, where several do; else empty.

    Raises:
        ValueError: The model lacks `training_step`, or something that a game needs.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        self._name, self._seed = type(model).__name__, seed
        if not hasattr(model, "training_step"):
            raise ValueError(f"fit: model must have training_step(batch, step), got a {self._name}")
        self._rule: Any = getattr(model, "turns", None)
        self._told = "turn" in inspect.signature(model.training_step).parameters  # type: ignore[arg-type]
        names = dict.fromkeys(group.get("player") for group in optimizer.param_groups)
        self._check(list(names))
        self.players: list[str] = [name for name in names if name is not None]
        self._measuring = fold(fold(seed, "train"), "train")

    def of(self, step: int) -> list[Turn]:
        """The turns of a step, in order; each draws numbers of its own."""
        if not self._told:
            return [Turn()]
        seed = fold(self._seed, "train", step)
        return [
            Turn(fold(seed, "train", number) if number else seed, player=player)
            for number, player in enumerate(self._movers(step))
        ]

    def measuring(self, index: int) -> Turn:
        """What a held-out batch is told, `index` rows after the first."""
        return Turn(self._measuring, index)

    def ask(self, model: nn.Module, batch: Batch, step: int, turn: Turn) -> Mapping[str, Any]:
        """What `model.training_step` returns, a scalar loss in it.

        Raises:
            ValueError: There is none.
        """
        told = {"turn": turn} if self._told else {}
        result: Mapping[str, Any] = model.training_step(batch, step, **told)  # type: ignore[operator]
        loss = result.get("loss") if isinstance(result, Mapping) else None
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(
                f"fit: {self._name}.training_step must return dict(loss=a scalar tensor), "
                f"got {result!r:.80}"
            )
        return result

    def _movers(self, step: int) -> Sequence[str | None]:
        """Names of players, in the order of their turns."""
        if self._rule is None:
            return [None]
        names = self._rule(step)
        if not isinstance(names, tuple | list) or not names or not set(names) <= {*self.players}:
            raise ValueError(
                f"fit: {self._name}.turns must name one or more of {', '.join(self.players)}, "
                f"got {names!r} for step {step}"
            )
        return names

    def _check(self, players: list[str | None]) -> None:
        name, wanted = self._name, self._rule is not None
        if wanted and None in players:
            raise ValueError(
                f"fit: {name} has turns: every group of its parameter_groups() must name its "
                "player, got one without"
            )
        if wanted and not self._told:
            raise ValueError(f"fit: {name} has turns: training_step must take (batch, step, turn)")
        if not wanted and players != [None]:
            raise ValueError(
                f"fit: {name} must have turns(step), as its parameter_groups() name players"
            )
