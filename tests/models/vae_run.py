"""Twenty steps of a VAE: python vae_run.py FILE leaves its weights; one process or several."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch

import genfast
from genfast.models import VAE
from genfast.training import History

__all__ = ["trained"]


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """61 images that are likest to be dark left of a column of their own."""
    generator = torch.Generator().manual_seed(2)
    edge = torch.randint(1, 6, (61, 1, 1, 1), generator=generator)
    noise = torch.randint(3, (61, 1, 5, 6), generator=generator)
    return (torch.arange(6) >= edge) * 4 + noise, torch.arange(61) % 3


def trained(**options: Any) -> tuple[VAE, History]:
    """A VAE after 20 steps of 7 images: the last batch of an epoch has 5."""
    torch.manual_seed(1)
    model = VAE((1, 5, 6), 7, latent=4, width=16, classes=3, free_bits=0.1)
    options = {"steps": 20, "batch_size": 7, "lr": 0.01, "seed": 5, "held_out": 0.0} | options
    return model, genfast.fit(model, data(), progress=False, **options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    weights = trained()[0].state_dict()
    if os.environ["RANK"] == "0":
        torch.save(weights, sys.argv[1])
