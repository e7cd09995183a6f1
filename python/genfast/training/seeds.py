"""Every random number of training is a function of the seed, the step and the process alone.

torch's generators are seeded at every turn, so that none of their states needs to be kept: a run
that goes on from a checkpoint draws what an uninterrupted one would have drawn. ::

    order(epoch)     the order of examples in a loader     the same in every process
    batch(step)      what loading a batch draws            the same in every process
    step()           dropout and noise of that step        the process's own
    evaluation(n)    noise of a held-out batch             the process's own
"""

from __future__ import annotations

import torch

from genfast.random import fold


class Seeds:
    """The seeds of a run.

    Args:
        seed: The run's.
        rank: Number of the process.
        device: Where the model lies.
    """

    def __init__(self, seed: int, rank: int, device: torch.device) -> None:
        self._seed = seed
        self._own = fold(seed, "dropout", rank)  # mixed in, as folding twice would take longer
        self._noise = fold(fold(seed, "noise"), "noise", rank)
        self._shared = 0
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generators.append(torch.cuda.default_generators[index])

    def order(self, epoch: int) -> int:
        """Seeds what a loader draws when an epoch begins; returns the seed."""
        seed = fold(self._seed, "shuffle", epoch)
        torch.default_generator.manual_seed(seed)
        return seed

    def batch(self, step: int) -> None:
        """Seeds what loading the batch of a step draws."""
        self._shared = fold(self._seed, "noise", step)
        torch.default_generator.manual_seed(self._shared)

    def step(self) -> None:
        """Seeds what the forward pass of a step draws, the one whose batch was seeded."""
        self._set(self._shared ^ self._own)

    def evaluation(self, number: int) -> None:
        """Seeds what the forward pass of a held-out batch draws."""
        self._set(fold(self._noise, "noise", number))

    def _set(self, seed: int) -> None:
        for generator in self._generators:
            generator.manual_seed(seed)
