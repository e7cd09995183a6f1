"""Small models and data that the tests of training share, in this process and in others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset

from genfast import SequenceModel, heads
from genfast.training import Callback, State

TRUTH = torch.tensor([[1.0], [-2.0], [3.0]])


class Regression(nn.Module):
    """y = x w + b, with dropout before it and a buffer that every step changes."""

    steps_seen: Tensor
    mean: Tensor

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("steps_seen", torch.tensor(0))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        x, y = batch
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            self.steps_seen = self.steps_seen + 1
        loss = ((self.linear(self.dropout(x)) - y) ** 2).mean()
        return {"loss": loss, "error": loss.detach().sqrt()}


def data(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return x, x @ TRUTH + 0.5


class Noisy(Dataset[Any]):
    """Examples that are never the same twice, unless torch is seeded."""

    def __init__(self, n: int) -> None:
        self.x, self.y = data(n)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i] + 0.1 * torch.randn(3), self.y[i]


class NoisyStream(IterableDataset[Any]):
    """The same as a stream."""

    def __init__(self, n: int) -> None:
        self.examples = Noisy(n)

    def __iter__(self) -> Iterator[Any]:
        return (self.examples[i] for i in range(len(self.examples)))


def sentences(n: int = 23, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Tokens (N, 9) in which each symbol follows from the one before, and lengths from 1 to 9."""
    generator = torch.Generator().manual_seed(1)
    first = torch.randint(classes, (n, 1), generator=generator)
    tokens = (first + 2 * torch.arange(9)) % classes
    return tokens, torch.randint(1, 10, (n,), generator=generator)


def small_lstm(dropout: float = 0.2) -> SequenceModel:
    """A recurrent network, always with the same first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SequenceModel(heads.Categorical(5), width=8, dropout=dropout)


class KilledError(Exception):
    """Stands for a kill: nothing is cleaned up but what Python does by itself."""


class Kill(Callback):
    """Raises after so many steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_step(self, state: State) -> None:
        if state.step == self.after:
            raise KilledError
