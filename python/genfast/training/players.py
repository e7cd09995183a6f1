"""Who moves: weights that are trained while the others stand still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn import Parameter


class Player:
    """Some of the weights of an optimizer; of a model that plays alone, all of them.

    Args:
        parameters: Those that move.
        others: Those that stand still meanwhile.
    """

    def __init__(self, parameters: Sequence[Parameter], others: Sequence[Parameter]) -> None:
        self.parameters, self._others = parameters, others

    @contextmanager
    def moving(self) -> Iterator[None]:
        """While entered, the others require no gradient; then those that did require it again."""
        still = [p for p in self._others if p.requires_grad]
        try:
            for p in still:
                p.requires_grad_(False)
            yield
        finally:
            for p in still:
                p.requires_grad_(True)


def players(optimizer: torch.optim.Optimizer) -> dict[str | None, Player]:
    """By name, as the groups have it under "player"; None is one who plays alone."""
    groups = optimizer.param_groups
    return {
        name: Player(
            [p for group in groups if group.get("player") == name for p in group["params"]],
            [p for group in groups if group.get("player") != name for p in group["params"]],
        )
        for name in dict.fromkeys(group.get("player") for group in groups)
    }
