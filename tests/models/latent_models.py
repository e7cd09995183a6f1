"""Small one-pass models and their data, for tests of this directory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genfast.models import VAE
from genfast.models.autoencoder import Autoencoder

#: Kinds of data: shape and levels.
DATA: dict[str, tuple[tuple[int, ...], int | None]] = {
    "bits": ((1, 5, 6), 2),
    "greys": ((1, 5, 6), 7),
    "colours": ((3, 4, 3), 256),
    "reals": ((7,), None),
    "real images": ((2, 3, 3), None),
    "symbols": ((9,), 5),
}


def vae_of(kind: str = "greys", **options: Any) -> VAE:
    """A VAE whose weights depend on its arguments alone."""
    shape, levels = DATA[kind]
    torch.manual_seed(4)
    return VAE(shape, levels, **({"latent": 3, "width": 17, "depth": 1} | options)).eval()


def autoencoder_of(kind: str = "greys", **options: Any) -> Autoencoder:
    """An Autoencoder likewise."""
    shape, levels = DATA[kind]
    torch.manual_seed(4)
    return Autoencoder(shape, levels, **({"latent": 3, "width": 17, "depth": 1} | options)).eval()


def examples(model: Any, n: int = 5) -> Tensor:
    """Data for a model, at random."""
    if model.levels is None:
        return torch.randn(n, *model.shape)
    return torch.randint(model.levels, (n, *model.shape))


def labels(model: Any, n: int = 5) -> Tensor | None:
    """Labels, where the model has classes."""
    return None if model.classes is None else torch.arange(n) % model.classes
