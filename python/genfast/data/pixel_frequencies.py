"""Each pixel by itself: the least that a model of images should beat."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.data.images import Images

__all__ = ["PixelFrequencies"]

# Counts added to each level of each pixel; which one is best the training images themselves say.
_SMOOTHINGS = tuple(2.0**k for k in range(-10, 5))


class PixelFrequencies:
    """p(x | y) as a product over the pixels, each with its own frequencies of the levels.

    `count[y, pixel, level] + a` over their sum, with the `a` under which each training image is
    likeliest by the counts of the others.

    Args:
        images: What is counted; with labels, each class by itself.

    Attributes:
        smoothing: The `a` that was chosen.
    """

    def __init__(self, images: Images) -> None:
        self.levels = images.levels
        values, labels = _flat(images)
        one_hot = torch.nn.functional.one_hot
        self._counts = torch.zeros(images.classes or 1, values.shape[1], self.levels)
        self._counts = self._counts.double()
        for label in range(len(self._counts)):
            mine = values[labels == label]
            for rows in torch.split(mine, 64):
                self._counts[label] += one_hot(rows, self.levels).sum(0)
        seen = self._counts[labels[:, None], torch.arange(values.shape[1]), values]
        others = self._counts.sum(-1)[labels] - 1
        self.smoothing = max(
            _SMOOTHINGS,
            key=lambda a: float(((seen - 1 + a) / (others + a * self.levels)).log().sum()),
        )

    def bits_per_dim(self, images: Images) -> float:
        """Mean bits that a channel of a pixel takes, of images like those that were counted."""
        values, labels = _flat(images)
        a, pixels = self.smoothing, torch.arange(values.shape[1])
        seen = self._counts[labels[:, None], pixels, values] + a
        whole = self._counts.sum(-1)[labels] + a * self.levels
        return -float((seen / whole).log().mean()) / math.log(2)


def _flat(images: Images) -> tuple[Int64[Tensor, "n pixels"], Int64[Tensor, " n"]]:
    values = images.x.flatten(1)
    labels = images.labels
    return values, labels if labels is not None else values.new_zeros(len(values))
