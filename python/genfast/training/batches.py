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
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    Subset,
    default_collate,
)

from genfast.random import fold
from genfast.training.feed import Feed, of_loader
from genfast.training.rows import Batch

Data: TypeAlias = (
    Tensor | tuple[Tensor, ...] | Dataset[Any] | Iterable[Batch] | Callable[[int], Batch]
)


@dataclass(frozen=True)
class Batches:
    """Batches, epoch by epoch.

    Attributes:
        epoch: The batches of an epoch, from the seed of its order and the number of its first step.
        length: Batches of an epoch; None where the data does not say, or has no end.
        endless: Whether an epoch never ends.
    """

    epoch: Callable[[int, int], Feed[Any]]
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
        held = _batches(*_whole("held_out", share), batch_size, shuffled=False)
        if held.endless:
            raise ValueError("fit: held_out must come to an end, got a callable of the step")
        return _batches(*_whole("data", data), batch_size), held
    if not 0 <= share < 1:
        raise ValueError(f"fit: held_out must be at least 0 and below 1, got {share}")
    examples, total = _whole("data", data)
    if total is None:
        if held_out:
            raise ValueError(
                "fit: held_out must be data of its own where data comes in batches, got "
                f"the share {share} of a {type(data).__name__}"
            )
        return _batches(examples, total, batch_size), None
    return _cut(examples, total, share, batch_size, seed)


def _cut(
    examples: Any, total: int, share: float, batch_size: int, seed: int
) -> tuple[Batches, Batches | None]:
    """Holds out a share of the examples, chosen by the seed; at least one stays to train on."""
    held = min(total - 1, max(1, round(total * share))) if share else 0
    if not held:
        return _batches(examples, total, batch_size), None
    order = _permutation(total, fold(seed, "split"))
    train = _batches(_take(examples, order[held:]), total - held, batch_size)
    return train, _batches(_take(examples, order[:held]), held, batch_size, shuffled=False)


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
    if isinstance(data, DataLoader) and isinstance(data.sampler, DistributedSampler):
        raise ValueError(
            f"fit: {name} must give every process the whole batch, which fit cuts among them, "
            "got a DataLoader with a DistributedSampler"
        )
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


def _batches(data: Any, total: int | None, batch_size: int, *, shuffled: bool = True) -> Batches:
    """Batches of any data; examples that are cut into batches here are shuffled every epoch."""
    if total is not None:
        return _of_examples(data, total, batch_size, shuffled)
    if isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if isinstance(data, DataLoader):
        return Batches(lambda order, _first: of_loader(data, order), _length(data))
    if isinstance(data, Iterable):
        return Batches(lambda _order, _first: Feed(iter(data), _itself), _length(data))
    return Batches(lambda _order, first: Feed(count(first), data), endless=True)


def _of_examples(data: Any, total: int, batch_size: int, shuffled: bool) -> Batches:
    def epoch(order: int, _first: int) -> Feed[Tensor]:
        rows = _permutation(total, order) if shuffled else torch.arange(total)
        return Feed(iter(torch.split(rows, batch_size)), load)

    def load(rows: Tensor) -> Batch:
        return _collated(data, rows.tolist()) if isinstance(data, Dataset) else _take(data, rows)

    return Batches(epoch, -(-total // batch_size))


def _itself(batch: Batch) -> Batch:
    return batch


def _collated(data: Any, rows: list[int]) -> Batch:
    """Examples of a Dataset as a batch; at once where the Dataset can."""
    together = getattr(data, "__getitems__", None)
    return default_collate(together(rows) if together else [data[row] for row in rows])


def _permutation(total: int, seed: int) -> Tensor:
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:  # a loader over a stream
        return None
