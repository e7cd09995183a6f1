"""Batches as trees of tensors: their rows, parts of them, and where they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

Batch: TypeAlias = Any


def count(batch: Batch) -> int:
    """The rows of a batch: the length of the first tensor in it; 1 where there is none."""
    while isinstance(batch, Mapping | tuple | list) and batch:
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    return len(batch) if isinstance(batch, Tensor) and batch.dim() else 1


def parts(batch: Batch, number: int) -> list[tuple[int, Batch]]:
    """A batch cut into `number` runs of rows as equal as can be, each with the number of its first
    row; into its rows when they are fewer.

    One part is the batch itself.
    """
    if number == 1:
        return [(0, batch)]
    total = count(batch)
    number = min(number, total)
    cuts = [bounds(total, number, i) for i in range(number)]
    return [(start, take(batch, start, stop)) for start, stop in cuts]


def bounds(total: int, number: int, i: int) -> tuple[int, int]:
    """First row and end of part `i` of `number`."""
    return i * total // number, (i + 1) * total // number


def take(batch: Batch, start: int, stop: int) -> Batch:
    """Some rows: of every tensor and list of strings that has as many as the batch."""
    total = count(batch)

    def cut(leaf: Any) -> Any:
        whole = isinstance(leaf, Tensor) and leaf.dim() and len(leaf) == total
        return leaf[start:stop] if whole or _strings(leaf, total) else leaf

    return _each(batch, cut, leaf_lists=total)


def move(batch: Batch, device: torch.device) -> Batch:
    """A batch with its tensors on `device`; lists become tuples."""
    return _each(
        batch, lambda leaf: leaf.to(device, non_blocking=True) if isinstance(leaf, Tensor) else leaf
    )


def _each(batch: Batch, change: Callable[[Any], Any], leaf_lists: int | None = None) -> Batch:
    if isinstance(batch, Mapping):
        return {name: _each(value, change, leaf_lists) for name, value in batch.items()}
    if isinstance(batch, tuple | list) and not _strings(batch, leaf_lists):
        return tuple(_each(value, change, leaf_lists) for value in batch)
    return change(batch)


def _strings(value: Any, length: int | None) -> bool:
    """Whether a value is a list of `length` strings: rows that are no tensor."""
    return (
        isinstance(value, tuple | list)
        and len(value) == length
        and all(isinstance(x, str) for x in value)
    )
