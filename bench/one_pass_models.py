"""The models of the one-pass benchmark, and how they are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import genfast
from genfast.data import Images
from genfast.training import Callback, State

#: Width of the latents of autoencoders, and of the games'.
CODE, NOISE = 10, 32


@dataclass(frozen=True)
class Recipe:
    """Arguments of `genfast.fit`."""

    steps: int
    batch_size: int = 64
    lr: float = 1e-3
    ema: float | None = None


def vae(images: Images, seed: int) -> Any:
    """Conditional where the images have labels."""
    torch.manual_seed(seed)
    return genfast.VAE(images.shape, images.levels, latent=CODE, classes=images.classes)


def autoencoder(images: Images, seed: int) -> Any:
    torch.manual_seed(seed)
    return genfast.Autoencoder(images.shape, images.levels, latent=CODE)


def digits_gan(images: Images, seed: int) -> Any:
    """A DCGAN; conditional where the images have labels."""
    torch.manual_seed(seed)
    return genfast.GAN(
        images.shape,
        images.levels,
        latent=NOISE,
        classes=images.classes,
        architecture="dcgan",
        width=32,
    )


def toy_gan(seed: int) -> Any:
    """Points of the plane."""
    torch.manual_seed(seed)
    return genfast.GAN((2,), latent=2, architecture="mlp", width=128, depth=3, r1=0.1)


def fitted(model: Any, given: Images | Tensor, recipe: Recipe, seed: int, name: str) -> Any:
    """The model, trained in place, in evaluation mode."""
    genfast.fit(
        model,
        given.tensors if isinstance(given, Images) else given,
        held_out=0.0,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        ema=recipe.ema,
        seed=seed,
        callbacks=[_Telling(name, recipe.steps)],
        progress=False,
    )
    return model.eval()


class _Telling(Callback):
    """Prints a line five times a run."""

    def __init__(self, name: str, steps: int) -> None:
        self._name, self._steps = name, steps

    def on_step(self, state: State) -> None:
        step = state.history.steps
        if step % max(1, self._steps // 5) == 0:
            numbers = "  ".join(f"{key} {value:.3f}" for key, value in state.numbers.items())
            print(f"  {self._name}: step {step:,} of {self._steps:,}  {numbers}", flush=True)
