"""What a step of training tells a model beside its batch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Turn"]


@dataclass(frozen=True)
class Turn:
    """Whose move it is, and the random numbers of the rows of a batch.

    A model whose training draws numbers of its own, or has several players, takes one:
    `training_step(batch, step, turn)`. Row i of the batch draws as sample `index + i` of `seed`, so
    that it meets the same numbers in one process and in many, whole and in parts, and in a run that
    was resumed.

    Args:
        seed: `fold(run's seed, "train", step)`; in evaluation the same at each.
        index: Number of the batch's first row among the rows of all processes and parts.
        player: Who moves, of those that `turns(step)` names; None where there is but one.
    """

    seed: int = 0
    index: int = 0
    player: str | None = None
