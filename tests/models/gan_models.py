"""Small games, their data, and a loop by hand that plays them, for tests of this directory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from genfast.models import GAN
from genfast.models.turn import Turn
from genfast.random import fold

#: Every kind of game: arguments of the constructor.
GAMES: dict[str, dict[str, Any]] = {
    "vectors": {"shape": (2,), "levels": None},
    "vectors with classes": {"shape": (3,), "levels": None, "classes": 3, "r1": 0.5},
    "images": {"shape": (1, 8, 8), "levels": 5, "architecture": "dcgan", "width": 6},
    "images with classes": {
        **{"shape": (2, 4, 8), "levels": 3, "architecture": "dcgan", "width": 4, "classes": 2},
        **{"norm": "group", "spectral_norm": True, "objective": "hinge"},
    },
    "wasserstein": {
        **{"shape": (1, 4, 4), "levels": 2, "objective": "wasserstein", "classes": 2},
        "discriminator_steps": 2,
    },
    "squares": {"shape": (4,), "levels": 7, "objective": "least-squares", "label_smoothing": 0.1},
}


def game_of(name: str = "vectors", **options: Any) -> GAN:
    """A game whose weights depend on its arguments alone, large enough to tell rows apart."""
    arguments = {"width": 7, "depth": 2, "latent": 3, **GAMES[name], **options}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = GAN(arguments.pop("shape"), arguments.pop("levels"), **arguments)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def data_of(model: GAN, n: int = 6, seed: int = 0) -> dict[str, Tensor]:
    """Data and labels, where the game has some."""
    generator = torch.Generator().manual_seed(seed)
    if model.levels is None:
        x = torch.randn(n, *model.shape, generator=generator)
    else:
        x = torch.randint(model.levels, (n, *model.shape), generator=generator)
    if model.classes is None:
        return {"x": x}
    return {"x": x, "classes": torch.randint(model.classes, (n,), generator=generator)}


def play(
    model: GAN, batch: Any, steps: int, lr: float = 1e-3, seed: int = 0
) -> list[dict[str, Any]]:
    """Trains by hand, as `fit` does it; gives what each turn returned."""
    optimizer = torch.optim.AdamW(model.parameter_groups(), lr=lr)
    told = []
    for step in range(steps):
        for player in model.turns(step):
            turn = Turn(fold(seed, "train", step), player=player)
            told.append(move(model, optimizer, batch, step, turn))
    return told


def move(
    model: GAN, optimizer: torch.optim.Optimizer, batch: Any, step: int, turn: Turn
) -> dict[str, Any]:
    """One player's move."""
    optimizer.zero_grad()
    mine: nn.Module = getattr(model, str(turn.player))
    for p in model.parameters():
        p.requires_grad_(False)
    for p in mine.parameters():
        p.requires_grad_(True)
    told = model.training_step(batch, step, turn)
    told["loss"].backward()
    optimizer.step()
    for p in model.parameters():
        p.requires_grad_(True)
    return {"player": turn.player, **{name: float(value.detach()) for name, value in told.items()}}


def turn_of(player: str | None, seed: int = 5, index: int = 0) -> Turn:
    return replace(Turn(), seed=seed, index=index, player=player)
