"""What the commands that train share: options, and what is said of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from genfast.commands.checks import (
    check_above,
    check_least,
    check_seed,
    check_share,
    check_whole,
)
from genfast.random import fold

__all__ = ["TrainingOptions", "check_training", "leads", "limits", "machine", "new_model"]


class TrainingOptions(Protocol):
    """Options that every command that trains has."""

    @property
    def seed(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def checkpoint_every(self) -> float: ...
    @property
    def held_out(self) -> float: ...
    @property
    def ema(self) -> float | None: ...
    @property
    def device(self) -> str: ...


def check_training(options: TrainingOptions, counts: tuple[str, ...]) -> None:
    """Raises ValueError for a number that is out of range, or a device that is not there.

    Args:
        options: What was asked for.
        counts: Options that are None or at least 1.
    """
    for name in counts:
        check_whole("train", name, getattr(options, name))
    check_above("train", "lr", options.lr)
    check_above("train", "seconds", options.seconds)
    check_least("train", "checkpoint_every", options.checkpoint_every)
    check_share("train", "held_out", options.held_out)
    check_share("train", "ema", options.ema)
    check_seed("train", options.seed)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("train: device must be one that torch sees, got cuda")


def leads() -> bool:
    """Whether this process writes and prints; under torchrun the first one alone."""
    return os.environ.get("RANK", "0") == "0"


def new_model(options: TrainingOptions, make: Callable[[], Any]) -> Any:
    """A model with weights of the seed, on the device asked for; torch's generator as found."""
    on_gpu = options.device != "cpu" and torch.cuda.is_available()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(options.seed, "init"))
        model = make()
    return model.to("cuda" if on_gpu else "cpu")


def limits(**most: float | None) -> str:
    """How long a run is, in words: `limits(steps=2000, seconds=None)`."""
    given = [(limit, what) for what, limit in most.items() if limit is not None]
    return " or ".join(
        f"{limit:,.10g} {what.removesuffix('s') if limit == 1 else what}" for limit, what in given
    )


def machine(model: nn.Module) -> str:
    """What trains, in words."""
    threads, processes = torch.get_num_threads(), int(os.environ.get("WORLD_SIZE", "1"))
    on_cpu = next(model.parameters()).device.type == "cpu"
    words = f"{threads} thread{'s' * (threads > 1)}" if on_cpu else "a GPU"
    return words if processes == 1 else f"{processes} processes, each on {words}"
