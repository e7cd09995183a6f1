"""Models of one pass as a user may write them: images under labels, and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import genfast
from genfast.models.latent import LatentModel

__all__ = ["OnePass", "OnePassImages", "Vectors", "trained"]


@genfast.register
class OnePassImages(LatentModel):
    """8x8 images of 17 levels in 3 classes: batch norms behind every kind of layer, and an encoder
    of mean and log-variance."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.shape, self.levels, self.latent, self.classes = (1, 8, 8), 17, 5, 3
        self.width = width
        self.generator = nn.Sequential(
            nn.Linear(8, 4 * width),
            nn.BatchNorm1d(4 * width),
            nn.ReLU(),
            nn.Unflatten(1, (width, 2, 2)),
            nn.BatchNorm2d(width),
            nn.ConvTranspose2d(width, width, 4, 2, 1, groups=2, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1),
            nn.Tanh(),
        )
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.SiLU(), nn.Linear(12, 10))

    def config(self) -> dict[str, Any]:
        return {"width": self.width}

    @classmethod
    def from_config(cls, config: Any) -> OnePassImages:
        return cls(**config)

    def decode(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        assert classes is not None
        told = (classes[:, None] == torch.arange(3)).to(z.dtype)
        made: Tensor = self.generator(torch.cat([z, told], 1))
        return (made + 1) / 2

    def encode(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, logvar = self.encoder(2 * x - 1).chunk(2, 1)
        return mean + 0.1 * classes[:, None], logvar


class Vectors(LatentModel):
    """Vectors (5,) of real numbers, with any decoder; it cannot be saved."""

    def __init__(self, decoder: nn.Module | None = None, latent: int = 4) -> None:
        super().__init__()
        self.shape, self.levels, self.latent, self.classes = (5,), None, latent, None
        self.decoder = decoder or nn.Sequential(
            nn.Linear(latent, 9), nn.Tanh(), nn.Linear(9, 5), nn.BatchNorm1d(5)
        )

    def decode(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        made: Tensor = self.decoder(z)
        return made


def trained(model: LatentModel, seed: int = 0) -> Any:
    """The model with weights and statistics as training leaves them, no two alike."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data * 1.5 + 0.1 * noise
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.3)
    return model.eval()


class OnePass(NamedTuple):
    """Images that were exported.

    Args:
        model: In evaluation mode now.
        path: The sampler's folder.
        report: What `export` said.
        traced: What torch's exporter wrote, batch norms folded.
        before: The weights and statistics that the model had before.
        was_training: Whether it was in training mode afterwards, as before.
    """

    model: OnePassImages
    path: Path
    report: Any
    traced: Any
    before: dict[str, Tensor]
    was_training: bool
