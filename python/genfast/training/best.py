"""Early stopping: the best weights so far, and whether to wait for better ones."""

from __future__ import annotations

import math

from torch import Tensor, nn

from genfast.training.history import History


class Best:
    """Keeps the weights of the lowest held-out loss.

    Args:
        patience: Evaluations without a lower loss that end training; None keeps nothing.

    Attributes:
        weights: A model's `state_dict` at its best, on the CPU; None before the first evaluation.
    """

    def __init__(self, patience: int | None) -> None:
        self._patience = patience
        self.weights: dict[str, Tensor] | None = None

    def look(self, history: History, module: nn.Module) -> None:
        """Takes the weights when the last held-out loss is the lowest."""
        if self._patience is not None and waited(history) == 0:
            state = module.state_dict()
            self.weights = {name: value.detach().cpu().clone() for name, value in state.items()}

    def exhausted(self, history: History) -> bool:
        """Whether patience is at its end."""
        return self._patience is not None and waited(history) >= self._patience


def waited(history: History) -> int:
    """Evaluations since the lowest held-out loss; 0 when the last one is the lowest."""
    losses = [loss for _step, loss in history.held_out]
    known = [loss for loss in losses if not math.isnan(loss)]
    return len(losses) - 1 - losses.index(min(known)) if known else len(losses)
