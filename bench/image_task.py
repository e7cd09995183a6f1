"""What the PixelCNN benchmark draws: a model of random weights, uniforms, and who takes part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genfast import PixelCNN

#: What every time is held against.
FORWARD = "one forward pass"
OURS, NAIVE, CACHED, EXPORTED = "genfast", "naive", "cached PyTorch", "exported sampler"
DEPTH = 15


@dataclass(frozen=True)
class ImageTask:
    """One row of the benchmark.

    Args:
        variant: "masked" or "gated".
        width: Features of a layer.
        channels: 1 of 2 levels, or 3 of 256.
        side: Rows and columns of an image.
        batch: Images drawn at once.
    """

    variant: str
    width: int
    channels: int
    side: int
    batch: int

    @property
    def name(self) -> str:
        kind = "grey" if self.channels == 1 else "RGB"
        return f"{self.variant} {self.width} {self.side}x{self.side} {kind} batch {self.batch}"

    @property
    def levels(self) -> int:
        """Grey images are binary, as MNIST is drawn; colours have 256 levels."""
        return 2 if self.channels == 1 else 256

    def model(self) -> PixelCNN:
        """A model of random weights, spread so that draws are far from certain and from even."""
        torch.manual_seed(0)
        shape = (self.channels, self.side, self.side)
        model = PixelCNN(
            shape,
            self.levels,
            width=self.width,
            depth=DEPTH,
            variant=self.variant,  # type: ignore[arg-type]
        )
        return model.eval()

    def uniforms(self) -> Tensor:
        """float32 (N, sites, channels), those of seed 0."""
        import genfast

        sites = self.side * self.side
        numbers = genfast.random.uniforms(0, self.batch, sites * self.channels)
        return numbers.reshape(self.batch, sites, self.channels)


@dataclass(frozen=True)
class Contender:
    """Somebody who takes part.

    Args:
        kind: What it does: `FORWARD`, `OURS`, ...
        form: Which way of doing it.
        threads: How many it uses.
        run: Does it once; returns what was drawn, int64 (N, sites, channels), or None.
        scale: Its time times this is the time of a whole draw.
        prepare: Called before a measurement, for settings of the whole process.
    """

    kind: str
    form: str
    threads: int
    run: Callable[[], Any]
    scale: float = 1.0
    prepare: Callable[[], None] = lambda: None

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.kind} | {self.form} | {self.threads}"
