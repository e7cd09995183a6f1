"""Small models and data that the tests of training share, in this process and in others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.data import Dataset, IterableDataset

from genfast import SequenceModel, heads
from genfast.models.turn import Turn
from genfast.nn import BatchNorm1d
from genfast.random import normals
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


class Latents(nn.Module):
    """Three numbers to two noisy ones and back; each row draws by its number in the batch."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.encoder, self.decoder = nn.Linear(3, 4), nn.Linear(2, 3)

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        mean, logvar = self.encoder(batch[0]).chunk(2, -1)
        z = mean + (logvar / 2).exp() * normals(turn.seed, len(mean), 2, index=turn.index)
        distance = (mean.square() + logvar.exp() - 1 - logvar).sum(-1) / 2
        error = (self.decoder(z) - batch[0]).square().sum(-1)
        return {"loss": (error + distance).mean(), "error": error.mean()}


class Game(nn.Module):
    """Two numbers to three, against a judge of such threes; both have batch norm.

    The generator moves in every second step. The judge's loss holds a gradient: its slope at what
    is real.
    """

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.generator = nn.Sequential(
                nn.Linear(2, 8, bias=False), BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)
            )
            self.judge = nn.Sequential(
                *(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 8, bias=False), BatchNorm1d(8)),
                *(nn.Tanh(), nn.Linear(8, 1)),
            )

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [
            {"params": self.judge.parameters(), "player": "judge"},
            {"params": self.generator.parameters(), "player": "generator", "lr": 0.01},
        ]

    def turns(self, step: int) -> tuple[str, ...]:
        return ("judge", "generator") if step % 2 else ("judge",)

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        x = batch[0]
        z = normals(turn.seed, len(x), 2, index=turn.index).to(x.dtype)
        made = self.generator(z)
        if turn.player != "judge":
            return {"loss": softplus(-self.judge(made)).mean()}
        x = x.clone().requires_grad_()
        scores = self.judge(x)
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        penalty = slope.square().sum(-1).mean()
        loss = softplus(-scores).mean() + softplus(self.judge(made)).mean() + penalty
        return {"loss": loss, "slope": penalty}


class Idle(nn.Module):
    """Every step moves one of two layers; the other takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])
        for p in self.parameters():
            nn.init.constant_(p, 0.5)

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        x, y = batch
        return {"loss": (self.layers[step % 3 % 2](x) - y).square().mean()}
