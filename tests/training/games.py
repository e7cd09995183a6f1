"""Games that `fit` trains: in this process, and run under torchrun in two, it leaves what became.

python -m torch.distributed.run --nproc-per-node 2 games.py FOLDER NAME...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genfast import GAN
from genfast.training import History, fit

#: Arguments of the model, and of `fit` beside those of `trained`.
GAMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "mlp": ({"shape": (2,), "r1": 0.2, "r1_every": 3}, {}),
    "mlp with classes": (
        {"shape": (2,), "classes": 3, "objective": "least-squares"},
        {"accumulate": 2},
    ),
    "dcgan": ({"shape": (1, 8, 8), "levels": 5, "architecture": "dcgan"}, {}),
    "dcgan with classes": (
        {
            **{"shape": (1, 8, 8), "levels": 5, "architecture": "dcgan", "classes": 3},
            **{"objective": "wasserstein", "discriminator_steps": 2},
        },
        {"ema": 0.9},
    ),
    "spectral": (
        {"shape": (1, 8, 8), "levels": 5, "architecture": "dcgan", "spectral_norm": True},
        {"clip": 0.1},
    ),
}


def game(name: str) -> GAN:
    """A small game, always with the same first weights."""
    arguments = {"latent": 3, "width": 8, "depth": 2, **GAMES[name][0]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GAN(arguments.pop("shape"), arguments.pop("levels", None), **arguments)


def examples(model: GAN, n: int = 22) -> Tensor | tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    if model.levels is None:
        x = torch.randn(n, *model.shape, generator=generator)
    else:
        x = torch.randint(model.levels, (n, *model.shape), generator=generator)
    if model.classes is None:
        return x
    return x, torch.randint(model.classes, (n,), generator=generator)


def trained(name: str, **options: Any) -> tuple[nn.Module, History]:
    """20 steps in batches of 8: the last of an epoch has 4 rows."""
    model = game(name)
    options = {"steps": 20, "batch_size": 8, "lr": 2e-3, **GAMES[name][1], **options}
    return model, fit(model, examples(model), progress=False, **options)


def main(folder: str, *names: str) -> None:
    torch.set_num_threads(1)
    for name in names:
        model, history = trained(name)
        left = {"weights": model.state_dict(), "history": history.state_dict()}
        torch.save(left, Path(folder) / f"{name} {os.environ.get('RANK', '0')}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
