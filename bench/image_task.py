"""What the PixelCNN benchmark draws: a model of random weights, uniforms, and who takes part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import genfast
from genfast import PixelCNN

#: What every time is held against.
FORWARD = "one forward pass"
OURS, NAIVE, CACHED, EXPORTED = "genfast", "naive", "cached PyTorch", "exported sampler"
DEPTH, BATCHES = 15, (1, 16, 64)
#: Standard deviation of the scores: draws are then neither certain nor even.
SPREAD = 1.5


@dataclass(frozen=True)
class ImageTask:
    """One row of the benchmark.

    Args:
        variant: "masked" or "gated".
        width: Features of a layer.
        channels: 1 of 2 levels, or 3 of 256.
        side: Rows and columns of an image.
        batch: Images drawn at once.
        depth: Residual blocks or layers.
    """

    variant: str
    width: int
    channels: int
    side: int
    batch: int
    depth: int = DEPTH

    @property
    def name(self) -> str:
        kind = "grey" if self.channels == 1 else "RGB"
        return f"{self.variant} {self.width} {self.side}x{self.side} {kind} batch {self.batch}"

    @property
    def levels(self) -> int:
        """Grey images are binary, as MNIST is drawn; colours have 256 levels."""
        return 2 if self.channels == 1 else 256

    def model(self) -> PixelCNN:
        """A model of random weights; new ones give nearly even scores, so these are spread."""
        torch.manual_seed(0)
        shape = (self.channels, self.side, self.side)
        model = PixelCNN(
            shape,
            self.levels,
            width=self.width,
            depth=self.depth,
            variant=self.variant,  # type: ignore[arg-type]
        ).eval()
        with torch.no_grad():
            scale = SPREAD / model(self.images()[:1]).std(correction=0)
            for weight in model.network.readout.parameters():
                weight.mul_(scale)
        return model

    def images(self) -> Tensor:
        """int64 (N, C, H, W) of even random levels, for forward passes."""
        shape = (self.batch, self.channels, self.side, self.side)
        return torch.randint(self.levels, shape, generator=torch.Generator().manual_seed(0))

    def uniforms(self) -> Tensor:
        """float32 (N, sites, channels), those of seed 0."""
        sites = self.side * self.side
        numbers = genfast.random.uniforms(0, self.batch, sites * self.channels)
        return numbers.reshape(self.batch, sites, self.channels)

    def feature_map_bytes(self, model: PixelCNN) -> int:
        """Bytes of what all convolutions give, as a drawer holds it that keeps whole images."""
        features = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
        return 4 * features * self.side * self.side * self.batch


@dataclass(frozen=True)
class Contender:
    """Somebody who takes part.

    Args:
        kind: What it does: `FORWARD`, `OURS`, ...
        form: Which way of doing it.
        threads: How many it uses.
        run: Does it once; returns what was drawn, int64 (N, sites, channels), the first sites of
            it, scores (N, H, W, C, levels), or None.
        scale: Its time times this is the time of a whole draw.
    """

    kind: str
    form: str
    threads: int
    run: Callable[[], Any]
    scale: float = 1.0

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.kind} | {self.form} | {self.threads}"

    def prepare(self) -> None:
        """Settings of the whole process, before a measurement."""
        torch.set_num_threads(self.threads)


def drawn(scores: Tensor, uniform: Tensor) -> Tensor:
    """The lowest class whose running sum of weights exceeds the uniform's share."""
    sums = torch.softmax(scores.float(), -1).cumsum(-1)
    edge = uniform[:, None] * sums[:, -1:]
    return (sums <= edge).sum(-1).clamp(max=scores.shape[-1] - 1)
