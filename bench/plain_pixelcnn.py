"""PixelCNN and its training written by hand in plain PyTorch: what genfast is held against.

Nothing here comes from genfast. The networks are those of van den Oord et al. 2016a and 2016b, for
grey images with labels; masks are multiplied into the weights at every pass, and the loop is the
one that everybody writes. Names of modules are genfast's, so that weights go from one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


class MaskedConv(nn.Conv2d):
    """A convolution with a mask on its weights: all above, and in its row all left of the pixel.

    Args:
        kind: "A" hides the pixel itself, "B" shows it.
        channels: In and out.
        kernel: Rows and columns, odd.
    """

    mask: Tensor

    def __init__(self, kind: str, channels: tuple[int, int], kernel: tuple[int, int]) -> None:
        rows, columns = kernel
        super().__init__(*channels, kernel, padding=(rows // 2, columns // 2))
        mask = torch.zeros(rows, columns)
        mask[: rows // 2] = 1
        mask[rows // 2, : columns // 2 + (kind == "B")] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        return functional.conv2d(input, self.weight * self.mask, self.bias, padding=self.padding)


class VerticalConv(nn.Conv2d):
    """A convolution over the rows above a pixel, and its own where `kind` is "B"."""

    def __init__(self, kind: str, channels: tuple[int, int], k: int) -> None:
        rows = k // 2 + (kind == "B")
        # Too many rows of padding, of which those at the end are cut off.
        super().__init__(*channels, (rows, k), padding=(k // 2, k // 2))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input)[:, :, : input.shape[2]]


class Label(nn.Module):
    """Adds a vector for each class."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = nn.Embedding(classes, width)

    def forward(self, input: Tensor, labels: Tensor) -> Tensor:
        return input + self.classes(labels)[:, :, None, None]


class Residual(nn.Module):
    """relu, 1x1, relu, 3x3 B, relu, 1x1, added to what came in."""

    def __init__(self, h: int, classes: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(2 * h, h, 1)
        self.conv = MaskedConv("B", (h, h), (3, 3))
        self.condition = Label(classes, h)
        self.expand = nn.Conv2d(h, 2 * h, 1)

    def forward(self, input: Tensor, labels: Tensor) -> Tensor:
        inner = self.conv(self.reduce(input.relu()).relu())
        return input + self.expand(self.condition(inner, labels).relu())


class Gated(nn.Module):
    """A layer of two stacks; the first one ("A") sees pixels, of the last one only the skip."""

    def __init__(self, kind: str, channels: int, h: int, classes: int, last: bool) -> None:
        super().__init__()
        self.kind, k = kind, 7 if kind == "A" else 3
        self.vertical = VerticalConv(kind, (channels, 2 * h), k)
        self.across = nn.Conv2d(2 * h, 2 * h, 1, bias=False)
        self.horizontal = MaskedConv(kind, (channels, 2 * h), (1, k))
        self.vertical_condition = None if last else Label(classes, 2 * h)
        self.horizontal_condition = Label(classes, 2 * h)
        self.skip = nn.Conv2d(h, 2 * h, 1, bias=kind == "A")
        self.residual = None if last else nn.Conv2d(h, h, 1)

    def forward(self, v: Tensor, h: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        above = self.vertical(v)
        here = self.horizontal_condition(self.horizontal(h) + self.across(above), labels)
        gated = _gate(here)
        if self.vertical_condition is None or self.residual is None:
            return v, h, self.skip(gated)
        through = self.residual(gated)
        h = through if self.kind == "A" else h + through
        return _gate(self.vertical_condition(above, labels)), h, self.skip(gated)


def _gate(a: Tensor) -> Tensor:
    tanh, sigmoid = a.chunk(2, 1)
    return tanh.tanh() * sigmoid.sigmoid()


class PlainPixelCNN(nn.Module):
    """A class-conditional PixelCNN over grey images.

    Args:
        variant: "masked" or "gated".
        levels: Of a pixel.
        width: h.
        depth: Blocks or layers.
        classes: Labels.
    """

    def __init__(self, variant: str, levels: int, width: int, depth: int, classes: int) -> None:
        super().__init__()
        self.variant, self.levels, h = variant, levels, width
        if variant == "masked":
            self.first = MaskedConv("A", (1, 2 * h), (7, 7))
            self.condition = Label(classes, 2 * h)
            self.blocks = nn.ModuleList(Residual(h, classes) for _ in range(depth))
        else:
            self.blocks = nn.ModuleList(
                Gated("B" if i else "A", h if i else 1, h, classes, i == depth - 1)
                for i in range(depth)
            )
        self.mid = nn.Conv2d(2 * h, 2 * h, 1)
        self.readout = nn.Conv2d(2 * h, levels, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Scores (N, levels, H, W) of levels (N, 1, H, W)."""
        pixels = x.to(self.readout.weight.dtype) * (2 / (self.levels - 1)) - 1
        if self.variant == "masked":
            features = self.condition(self.first(pixels), labels)
            for block in self.blocks:
                features = block(features, labels)
        else:
            v = h = pixels
            features = torch.zeros((), dtype=pixels.dtype)
            for block in self.blocks:
                v, h, skip = block(v, h, labels)
                features = features + skip
        return self.readout(self.mid(features.relu()).relu())

    def nats(self, x: Tensor, labels: Tensor) -> Tensor:
        """-log p of every pixel, (N, H, W)."""
        return functional.cross_entropy(self(x, labels), x[:, 0], reduction="none")


@dataclass(frozen=True)
class Recipe:
    """How both sides train: AdamW, gradients clipped, a rise and half a cosine of the rate."""

    steps: int
    batch_size: int = 16
    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.1
    clip: float = 1.0
    warmup: float = 0.05

    def rate(self, step: int) -> float:
        """Of the middle of a step."""
        done = (step + 0.5) / self.steps
        return self.lr * min(1.0, done / self.warmup) * (1 + math.cos(math.pi * done)) / 2


def shuffled(x: Tensor, labels: Tensor, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without an end, in another order every epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for rows in torch.randperm(len(x), generator=generator).split(size):
            yield x[rows], labels[rows]


def train(
    model: PlainPixelCNN,
    batches: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
    progress: Callable[[int, float], None],
) -> list[float]:
    """Trains in place; calls `progress(step, loss)` after each step, returns all losses."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decaying = [p for p in model.parameters() if p.ndim > 1 and id(p) not in tables]
    others = [p for p in model.parameters() if p.ndim == 1 or id(p) in tables]
    groups = [{"params": decaying}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
    )
    losses: list[float] = []
    model.train()
    for step, (x, labels) in zip(range(recipe.steps), batches, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step)
        optimizer.zero_grad()
        loss = model.nats(x, labels).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        losses.append(loss.item())
        progress(step + 1, losses[-1])
    model.eval()
    return losses


@torch.no_grad()
def bits(model: PlainPixelCNN, x: Tensor, labels: Tensor) -> float:
    """-log2 p a pixel, the mean over all images."""
    return model.nats(x, labels).double().mean().item() / math.log(2)
