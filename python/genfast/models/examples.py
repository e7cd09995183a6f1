"""Data as one-pass models take them: with levels or real, with labels or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genfast.arguments import described
from genfast.files.limits import (
    MOST_CHANNELS,
    MOST_ELEMENTS,
    MOST_LEVELS,
    MOST_SIDE,
    checked_size,
)
from genfast.pixels import check_images

__all__ = ["batch_of", "check_examples", "checked_levels", "checked_shape"]

_KEYS = {"x", "classes"}


def batch_of(name: str, batch: Any) -> tuple[Tensor, Tensor | None]:
    """Data and labels of a batch.

    Args:
        name: The public function, for the message.
        batch: A tensor; or a tuple of it and int64 (N,) labels; or a dict of `x` and `classes`.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, Mapping) and "x" in batch and set(batch) <= _KEYS:
        return batch["x"], batch.get("classes")
    if isinstance(batch, (tuple, list)) and len(batch) in (1, 2):
        return batch[0], (*batch, None)[1]
    what = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
    raise ValueError(
        f"{name}: batch must be data, a pair of data and labels, or a dict of x and classes, "
        f"got {what!r:.80}"
    )


def check_examples(name: str, x: Tensor, model: Any, *, shares: bool = False) -> None:
    """ValueError unless `x` is int64 (N, *shape) in [0, levels), or finite float (N, *shape).

    Args:
        name: The public function and its argument, for the message.
        x: Data.
        model: With `shape` and `levels`, None for real numbers.
        shares: Whether floats from 0 to 1, shares of the highest level, may stand for levels.
    """
    real = isinstance(x, Tensor) and x.is_floating_point()
    if model.levels is not None and len(model.shape) == 3 and not (shares and real):
        check_images(name, x, model)
        return
    kinds: tuple[torch.dtype, ...] = (torch.float32, torch.float64)
    if model.levels is not None:
        kinds = (torch.int64, *kinds) if shares else (torch.int64,)
    wanted = f"{str(kinds[0]).removeprefix('torch.')} (N, {', '.join(map(str, model.shape))})"
    if not isinstance(x, Tensor) or x.dtype not in kinds or tuple(x.shape[1:]) != model.shape:
        raise ValueError(f"{name} must be {wanted}, got {described(x)}")
    if x.device != model.device:
        raise ValueError(f"{name} must be on {model.device}, as the model is, got {x.device}")
    _check_range(name, x, model.levels)


def _check_range(name: str, x: Tensor, levels: int | None) -> None:
    right, wanted = x.isfinite(), "finite"
    if levels is not None and x.is_floating_point():
        right, wanted = (x >= 0) & (x <= 1), "from 0 to 1, shares of the highest level"
    elif levels is not None:
        right, wanted = (x >= 0) & (x < levels), f"at least 0 and below {levels}"
    if not right.all():
        place = tuple(int(i) for i in (~right).nonzero()[0])
        raise ValueError(f"{name} must be {wanted}, got {x[place].item()} at {place}")


def checked_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """(channels, rows, columns) of an image or (numbers,) of a vector, or ValueError.

    Args:
        name: Of the class, for the message.
        shape: What was asked for.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) not in (1, 3):
        raise ValueError(
            f"{name}: shape must be (channels, rows, columns) or (numbers,), got {shape!r:.80}"
        )
    if len(shape) == 1:
        return (checked_size(f"{name}: numbers of shape", shape[0], MOST_ELEMENTS),)
    axes = {"channels": MOST_CHANNELS, "rows": MOST_SIDE, "columns": MOST_SIDE}
    return tuple(
        checked_size(f"{name}: {axis} of shape", size, most)
        for (axis, most), size in zip(axes.items(), shape, strict=True)
    )


def checked_levels(name: str, levels: int | None) -> int | None:
    """Levels of the data, None for real numbers, or ValueError."""
    if levels is None:
        return None
    levels = checked_size(f"{name}: levels", levels, MOST_LEVELS)
    if levels < 2:
        raise ValueError(f"{name}: levels must be at least 2, got {levels}")
    return levels
