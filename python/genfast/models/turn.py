"""What a step of training tells a model beside its batch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Turn"]


@dataclass(frozen=True)
class Turn:
    """Whose move it is, and the random numbers of the rows of a batch.

    A model whose training draws numbers of its own, or has several players, has an argument of this
    name: `training_step(batch, step, turn)`. Row i of the batch draws as sample `index + i` of
    `seed`, so that it meets the same numbers in one process and in many, whole and in parts, and in
    a run that was resumed: `normals(turn.seed, len(x), latent, index=turn.index)`.

    Args:
        seed: `fold(run's seed, "train", step)`; turns after the first of a step have seeds of their
            own, `fold(that, "train", number)`. In evaluation the same at each.
        index: Number of the batch's first row among the rows of all processes and parts; in
            evaluation among all that is held out.
        player: Who moves, of those that `turns(step)` names; None where there is but one, and in
            evaluation, where nobody moves: no gradient can be taken, and the loss that is returned
            is the held-out loss.
    """

    seed: int = 0
    index: int = 0
    player: str | None = None
