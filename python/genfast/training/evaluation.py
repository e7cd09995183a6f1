"""The held-out loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from genfast.training import rows
from genfast.training.batches import Batches
from genfast.training.distributed import Processes
from genfast.training.seeds import Seeds
from genfast.training.step import sites
from genfast.training.turns import Turns


class Evaluation:
    """Measures a model on held-out batches, in evaluation mode and full precision.

    Args:
        held: The batches; None measures nothing.
        processes: Who else measures, each some rows of every batch.
        turns: What a step is told: the same numbers at every evaluation, and nobody's move.
        seeds: Of what torch draws even now: the same numbers at every evaluation.
        interrupted: Whether to give up; asked after every batch.
    """

    def __init__(
        self,
        held: Batches | None,
        processes: Processes,
        turns: Turns,
        seeds: Seeds,
        interrupted: Callable[[], bool],
    ) -> None:
        self._held, self._processes, self._turns, self._seeds = held, processes, turns, seeds
        self._interrupted = interrupted

    def loss(self, model: nn.Module, step: int) -> float | None:
        """The mean over all sites; None when there is no data, or no end was reached."""
        if self._held is None:
            return None
        was = model.training
        model.eval()
        try:
            with torch.no_grad():
                return self._mean(model, self._held, step)
        finally:
            model.train(was)

    def _mean(self, model: nn.Module, held: Batches, step: int) -> float | None:
        device = next(model.parameters()).device
        loss, weight, before = 0.0, 0.0, 0
        for number, batch in enumerate(held.epoch(self._seeds.order(0), 0)):
            mine, first, present = self._processes.mine(batch)
            if present:
                self._seeds.evaluation(number)
                turn = self._turns.measuring(before + first)
                result = self._turns.ask(model, rows.move(mine, device), step, turn)
                own = sites(result, mine)
                loss, weight = loss + float(result["loss"]) * own, weight + own
            before += rows.count(batch)
            if self._interrupted():
                return None
        loss, weight = self._processes.sums([loss, weight])
        return loss / weight if weight else None
