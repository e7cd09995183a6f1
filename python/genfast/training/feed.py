"""The batches of one epoch, one by one, and leaving out those that a resumed run has had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

from genfast.training.rows import Batch

_Key = TypeVar("_Key")


class Feed(Generic[_Key]):
    """Batches made from keys as they are asked for; a batch that is skipped costs its key alone.

    Args:
        keys: What tells the batches apart: rows, steps, or the batches themselves.
        load: Makes a batch from its key.
    """

    def __init__(self, keys: Iterator[_Key], load: Callable[[_Key], Batch]) -> None:
        self._keys, self._load = keys, load

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return self._load(next(self._keys))

    def skip(self) -> None:
        """Leaves out the next batch."""
        next(self._keys, None)


class _LoaderFeed(Feed[Any]):
    """Of a DataLoader over examples: only indices are skipped, and its own machinery reads on."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        whole = loader.batch_sampler if loader.batch_sampler is not None else loader.sampler
        super().__init__(iter(whole), lambda batch: batch)
        self._batches = iter(_reading(loader, self._keys))  # draws a number, so not later

    def __next__(self) -> Batch:
        return next(self._batches)


class _Indices(Sampler[Any]):
    """Indices that somebody else may have begun to use up."""

    def __init__(self, indices: Iterator[Any]) -> None:
        self._indices = indices

    def __iter__(self) -> Iterator[Any]:
        return self._indices


def of_loader(loader: DataLoader[Any], seed: int) -> Feed[Any]:
    """An epoch of a DataLoader whose order comes from `seed`.

    Worker processes draw random numbers of their own, one batch after the other: what they are
    asked for is always read, and skipped after that.
    """
    for owner in (loader, loader.sampler, loader.batch_sampler):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
    plain = type(loader).__iter__ is DataLoader.__iter__ and not loader.num_workers
    if plain and not isinstance(loader.dataset, IterableDataset):
        return _LoaderFeed(loader)
    return Feed(iter(loader), lambda batch: batch)


def _reading(loader: DataLoader[Any], indices: Iterator[Any]) -> DataLoader[Any]:
    """The same loader, without workers, over what is left of its indices."""
    by_batch = loader.batch_sampler is not None
    return DataLoader(
        loader.dataset,
        batch_size=1 if by_batch else None,
        sampler=None if by_batch else _Indices(indices),
        batch_sampler=_Indices(indices) if by_batch else None,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        generator=loader.generator,
    )
