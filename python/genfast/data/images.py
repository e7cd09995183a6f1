"""Images as a model takes them, whatever they were read from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.random import fold

__all__ = ["MOST_VALUES", "Images", "check_size"]

# What is read is held as int64: 2**30 values are 8 GiB.
MOST_VALUES = 2**30


@dataclass(frozen=True)
class Images:
    """Images and, where they are known, what they show.

    Attributes:
        x: int64 (N, C, H, W) in [0, levels).
        labels: int64 (N,) in [0, classes), or None.
        levels: Values that a channel can have, at least 2.
        name: Where they come from, for people.
        class_names: What the labels stand for, where that is known.
    """

    x: Int64[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"] | None
    levels: int
    name: str
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        c, h, w = self.x.shape[1:]
        return c, h, w

    @property
    def classes(self) -> int | None:
        """Number of labels: names there are, or the largest label and one; None without labels."""
        if self.labels is None:
            return None
        return len(self.class_names) or int(self.labels.max()) + 1

    @property
    def tensors(self) -> Tensor | tuple[Tensor, Tensor]:
        """What `genfast.fit` takes: the images, and the labels where there are some."""
        return self.x if self.labels is None else (self.x, self.labels)

    def unlabelled(self) -> Images:
        """The same images with no labels."""
        return replace(self, labels=None, class_names=())

    def quantised(self, levels: int | None) -> Images:
        """The same images in `levels` levels: value v becomes `v * levels // self.levels`.

        Values that all lie below `levels` already are taken as they are, and so is everything for
        None.

        Raises:
            ValueError: `levels` is below 2.
        """
        if levels is None:
            return self
        if levels < 2:
            raise ValueError(f"quantised: levels must be at least 2, got {levels}")
        if levels >= self.levels or int(self.x.max()) < levels:
            return replace(self, levels=levels)
        return replace(self, x=self.x * levels // self.levels, levels=levels)

    def split(self, held_out: float = 0.1, *, seed: int = 0) -> tuple[Images, Images]:
        """Training images and held-out ones, chosen by the seed alone.

        Args:
            held_out: The share that is held out, 0 < held_out < 1; rounded to at least one image.
            seed: 0 <= seed < 2**63.

        Raises:
            ValueError: The share is out of range, or a part would be empty.
        """
        if not 0 < held_out < 1:
            raise ValueError(f"split: held_out must be inside (0, 1), got {held_out}")
        count = max(1, round(len(self) * held_out))
        if count >= len(self):
            raise ValueError(
                f"split: there must be images left to train on beside the {count} held out, "
                f"got {len(self)} in all"
            )
        generator = torch.Generator().manual_seed(fold(seed, "split"))
        order = torch.randperm(len(self), generator=generator)
        return self.take(order[count:]), self.take(order[:count])

    def take(self, rows: Int64[Tensor, " m"]) -> Images:
        """These images, in this order; as many classes as before."""
        names = self.class_names or tuple(map(str, range(self.classes or 0)))
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, x=self.x[rows], labels=labels, class_names=names)


def check_size(where: str, name: object, n: int, c: int, h: int, w: int) -> None:
    """ValueError unless there is something in the images, and no more than memory should hold.

    Args:
        where: The function that reads, for the error.
        name: What it reads.
        n, c, h, w: Images, channels, height, width.
    """
    if min(n, c, h, w) < 1:
        raise ValueError(f"{where}: {name} must hold at least one pixel, got {(n, c, h, w)}")
    if n * c * h * w > MOST_VALUES:
        raise ValueError(
            f"{where}: {name} must hold at most {MOST_VALUES:,} values, got {n * c * h * w:,}"
        )


def _check(images: Images) -> None:
    x, labels, name = images.x, images.labels, images.name
    if x.dtype != torch.int64 or x.ndim != 4:
        raise ValueError(f"Images: x must be int64 (N, C, H, W), got {x.dtype} {tuple(x.shape)}")
    check_size("Images", name, *x.shape)
    if images.levels < 2:
        raise ValueError(f"Images: levels must be at least 2, got {images.levels}")
    _check_range(f"Images: {name}", x, images.levels)
    if labels is None:
        return
    if labels.dtype != torch.int64 or labels.shape != (len(x),):
        raise ValueError(
            f"Images: the labels of {name} must be int64 (N,) with N={len(x)}, "
            f"got {labels.dtype} {tuple(labels.shape)}"
        )
    _check_range(f"Images: the labels of {name}", labels, len(images.class_names) or 2**31)


def _check_range(what: str, values: Tensor, limit: int) -> None:
    """ValueError naming the first value outside [0, limit) and its place."""
    if int(values.min()) >= 0 and int(values.max()) < limit:
        return
    place = tuple(((values < 0) | (values >= limit)).nonzero()[0].tolist())
    raise ValueError(
        f"{what} must be at least 0 and below {limit}, got {int(values[place])} at {list(place)}"
    )
