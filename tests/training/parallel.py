"""Training in several processes: run under torchrun or accelerate, it leaves what became of it.

python -m torch.distributed.run --nproc-per-node 2 parallel.py FOLDER SCENARIO...
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small import (
    Game,
    Idle,
    Kill,
    KilledError,
    Latents,
    Noisy,
    Regression,
    data,
    sentences,
    small_lstm,
)
from torch import nn
from torch.utils.data import DataLoader

from genfast.training import Callback, History, State, fit

Trained = tuple[nn.Module, History]


def lstm(**options: Any) -> Trained:
    """21 sentences of differing lengths in batches of 5: the last batch has one row."""
    model = small_lstm(dropout=options.pop("dropout", 0.0))
    held = sentences(4)
    options = {"steps": 20, "batch_size": 5, "lr": 0.02, "held_out": held, **options}
    return model, fit(model, sentences(21), progress=False, **options)


def shuffled_loader(out: Path) -> Trained:
    """Every process must be given the same rows and the same noise on them."""
    model = Regression(dropout=0.0)
    loader = DataLoader(Noisy(18), batch_size=5, shuffle=True)
    return model, fit(model, loader, steps=20, held_out=data(7), lr=0.02, progress=False)


def game(dtype: torch.dtype = torch.float64, **options: Any) -> Trained:
    """21 rows in batches of 7, which two processes cannot share alike."""
    model = Game().to(dtype)
    rows, held = (tuple(x.to(dtype) for x in data(*which)) for which in ((21, 0), (9, 3)))
    options = {"steps": 20, "batch_size": 7, "lr": 0.02, "held_out": held, **options}
    return model, fit(model, rows, progress=False, **options)


def latents(**options: Any) -> Trained:
    """22 rows in batches of 7: the last batch has one, and one process has none."""
    model = Latents()
    options = {"steps": 20, "batch_size": 7, "lr": 0.02, "held_out": data(9, 3), **options}
    return model, fit(model, data(22), progress=False, **options)


def idle(out: Path) -> Trained:
    model = Idle()
    return model, fit(model, data(21), steps=20, batch_size=5, lr=0.02, progress=False)


class Stop(Callback):
    """Process 1 wants to stop after 3 steps, process 0 after 6."""

    def on_step(self, state: State) -> None:
        state.stop = state.step == (3 if os.environ.get("RANK") == "1" else 6)


class Shift(nn.Module):
    """Starts elsewhere in every process."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.full((3,), float(os.environ.get("RANK", "0"))))

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        return {"loss": ((batch[0] - self.shift) ** 2).mean()}


def first_weights(out: Path) -> Trained:
    model = Shift()
    return model, fit(model, data(8), steps=3, lr=0.1, progress=False)


def kept(train: Callable[..., Trained], out: Path, **options: Any) -> Trained:
    """Cut off in all processes, then resumed."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return train(**options)
    try:
        train(out=out, checkpoint_every=0.0, callbacks=[Kill(7)], **options)
    except KilledError:
        return train(out=out, resume=True, **options)
    raise AssertionError("was not cut off")


# Every process draws a dropout of its own.
DROPOUT: dict[str, Any] = {"dropout": 0.3, "accumulate": 2, "ema": 0.9}
GAME: dict[str, Any] = {"ema": 0.9, "clip": 0.1}
SCENARIOS: dict[str, Callable[[Path], Trained]] = {
    "lengths": lambda out: lstm(),
    "accumulate": lambda out: lstm(accumulate=2),
    "average": lambda out: lstm(ema=0.9, patience=2, evaluate_every=3, lr=0.2),
    "clip": lambda out: lstm(clip=0.01, schedule="constant"),
    "loader": shuffled_loader,
    "stop": lambda out: lstm(callbacks=[Stop()]),
    "first weights": first_weights,
    "idle weights": idle,
    "latents": lambda out: latents(),
    "latents in parts": lambda out: latents(accumulate=2),
    "game": lambda out: game(**GAME),
    "game in float32": lambda out: game(torch.float32),
    "game in parts": lambda out: game(accumulate=2),
    "game kept": lambda out: kept(game, out / "game", **GAME),
    "uninterrupted": lambda out: lstm(**DROPOUT),
    "kept": lambda out: kept(lstm, out / "run", **DROPOUT),
}


def main(folder: str, *names: str) -> None:
    torch.set_num_threads(1)
    for name in names:
        model, history = SCENARIOS[name](Path(folder))
        left = {"weights": model.state_dict(), "history": history.state_dict()}
        torch.save(left, Path(folder) / f"{name} {os.environ.get('RANK', '0')}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
