"""What `fit` takes as data, made into batches of an epoch.

::

    tensor (N, ...), tuple of them, Dataset    examples: shuffled every epoch, a part held out
    DataLoader, other iterables                batches as they come, an epoch each time through
    callable                                   data(step) is the batch of a step, without an end
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from genfast.random import fold

Batch: TypeAlias = Any
Data: TypeAlias = (
    Tensor | tuple[Tensor, ...] | Dataset[Any] | Iterable[Batch] | Callable[[int], Batch]
)


@dataclass(frozen=True)
class Batches:
    """Batches, epoch by epoch.

    Attributes:
        epoch: The batches of epoch `number`, the first of them being the batch of step `step`.
        length: Batches of an epoch; None where the data does not say, or has no end.
        endless: Whether an epoch never ends.
    """

    epoch: Callable[[int, int], Iterator[Batch]]
    length: int | None = None
    endless: bool = False


def split(
    data: Data, held_out: float | Data | None, batch_size: int, seed: int
) -> tuple[Batches, Batches | None]:
    """Training batches, shuffled every epoch, and held-out batches in a fixed order.

    Raises:
        ValueError: The data is of no kind that can be used, is empty, or cannot be cut as asked.
    """
    share = 0.1 if held_out is None else held_out
    if not isinstance(share, int | float):
        held, train = _whole("held_out", share), _whole("data", data)
        return _batches(*train, batch_size, seed), _batches(*held, batch_size, None)
    if not 0 <= share < 1:
        raise ValueError(f"fit: held_out must be at least 0 and below 1, got {share}")
    examples, total = _whole("data", data)
    if total is None:
        if held_out:
            raise ValueError(
                "fit: held_out must be data of its own where data comes in batches, got "
                f"the share {share} of a {type(data).__name__}"
            )
        return _batches(examples, total, batch_size, seed), None
    return _cut(examples, total, share, batch_size, seed)


def _cut(
    examples: Any, total: int, share: float, batch_size: int, seed: int
) -> tuple[Batches, Batches | None]:
    """Holds out a share of the examples, chosen by the seed; at least one stays to train on."""
    held = min(total - 1, max(1, round(total * share))) if share else 0
    if not held:
        return _batches(examples, total, batch_size, seed), None
    order = _permutation(total, fold(seed, "split"))
    train = _batches(_take(examples, order[held:]), total - held, batch_size, seed)
    return train, _batches(_take(examples, order[:held]), held, batch_size, None)


def _whole(name: str, data: Data) -> tuple[Any, int | None]:
    """The data, and its number of examples where it can be cut into batches here, else None."""
    if isinstance(data, Tensor):
        data = (data,)
        total = _rows(name, data)
        return data[0], total
    if isinstance(data, tuple | list) and data and all(isinstance(x, Tensor) for x in data):
        return tuple(data), _rows(name, data)
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        if not hasattr(data, "__len__"):
            raise ValueError(f"fit: {name} must say its length, got a {type(data).__name__}")
        return data, _at_least_one(name, len(data))
    if isinstance(data, Iterator) or not (callable(data) or isinstance(data, Iterable)):
        raise ValueError(
            f"fit: {name} must be a tensor, a tuple of tensors, a Dataset, a DataLoader, a list of "
            f"batches or a callable of the step, got {type(data).__name__}"
        )
    return data, None


def _rows(name: str, tensors: tuple[Tensor, ...] | list[Any]) -> int:
    shapes = [tuple(x.shape) for x in tensors]
    if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
        raise ValueError(f"fit: tensors of {name} must share their first dimension, got {shapes}")
    return _at_least_one(name, shapes[0][0])


def _at_least_one(name: str, total: int) -> int:
    if total < 1:
        raise ValueError(f"fit: {name} must hold at least one example, got 0")
    return total


def _take(examples: Any, rows: Tensor) -> Any:
    if isinstance(examples, Tensor):
        return examples[rows.to(examples.device)]
    if isinstance(examples, tuple):
        return tuple(_take(x, rows) for x in examples)
    return Subset(examples, rows.tolist())


def _batches(data: Any, total: int | None, batch_size: int, seed: int | None) -> Batches:
    """Batches of any data; a seed shuffles examples anew every epoch."""
    if total is not None:
        return _of_examples(data, total, batch_size, seed)
    if isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if isinstance(data, Iterable):
        return Batches(lambda _epoch, _step: iter(data), _length(data))
    return Batches(lambda _epoch, step: map(data, count(step)), endless=True)


def _of_examples(data: Any, total: int, batch_size: int, seed: int | None) -> Batches:
    def epoch(number: int, _step: int) -> Iterator[Batch]:
        fresh = None if seed is None else fold(seed, "shuffle", number)
        order = torch.arange(total) if fresh is None else _permutation(total, fresh)
        if isinstance(data, Dataset):
            loader: Iterable[Batch] = DataLoader(data, batch_size, sampler=order.tolist())
            return iter(loader)
        return (_take(data, rows) for rows in torch.split(order, batch_size))

    return Batches(epoch, -(-total // batch_size))


def _permutation(total: int, seed: int) -> Tensor:
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # a loader over a stream
        return None
