"""Data parallel training: the same loop in one process and in many.

Every process is given the whole batch of a step and takes its run of rows. Their gradients, each of
a loss weighted by its sites, are added up: the sum is the gradient of the whole batch, to rounding.
::

    batch  [ rows of rank 0 | rows of rank 1 | ... ]
                  |                 |
            weight * loss     weight * loss        weight = own sites / all sites
                  |                 |
                  +----- sum -------+-----> the gradient of the batch

It is sent once a turn, after the last part of the batch, and for the weights that move alone; so a
loss may hold gradients of its own, and weights may take no part in it.

Processes are told apart by `RANK`, `WORLD_SIZE` and `LOCAL_RANK`, which torchrun and accelerate
set, or by a process group that the caller has begun.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import Parameter

from genfast.training import rows
from genfast.training.rows import Batch
from genfast.training.sending import received, send_together

_GROUPS = count()


class Processes:
    """One process: everything is its own, and nothing is sent.

    Attributes:
        rank: Number of this process; number 0 writes, and decides when to stop.
        size: How many there are.
    """

    rank = 0
    size = 1

    def share(self, numbers: Sequence[float]) -> Sequence[float]:
        """Rank 0's numbers."""
        return numbers

    def sums(self, numbers: Sequence[float]) -> Sequence[float]:
        """Numbers added up over the processes."""
        return numbers

    def mine(self, batch: Batch) -> tuple[Batch, int, bool]:
        """This process's rows of a batch, the number of the first of them, and whether they are
        its own: where there are none, it is given the batch's first row.
        """
        return batch, 0, True

    def means(self, numbers: dict[str, float], sites: float) -> tuple[dict[str, float], float]:
        """Means over the sites of all processes, from this one's; and the sites of all."""
        return numbers, sites

    def unite(self, tensors: Iterable[Tensor]) -> None:
        """Gives tensors what they hold in process 0."""

    def add_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Adds up gradients over the processes; where nobody has one, there still is none."""


class Group(Processes):
    """The processes of torch's process group, which has begun.

    Args:
        device: Where the model lies.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._wire = device if dist.get_backend() == "nccl" else torch.device("cpu")

    def share(self, numbers: Sequence[float]) -> Sequence[float]:
        sent = self._tensor(numbers)
        dist.broadcast(sent, src=0)
        return received(sent)

    def sums(self, numbers: Sequence[float]) -> Sequence[float]:
        sent = self._tensor(numbers)
        dist.all_reduce(sent)
        return received(sent)

    def mine(self, batch: Batch) -> tuple[Batch, int, bool]:
        start, stop = rows.bounds(rows.count(batch), self.size, self.rank)
        if start == stop:
            return rows.take(batch, 0, 1), 0, False
        return rows.take(batch, start, stop), start, True

    def means(self, numbers: dict[str, float], sites: float) -> tuple[dict[str, float], float]:
        weighted = [number * sites if sites else 0.0 for number in numbers.values()]
        total, *sums = self.sums([sites, *weighted])
        joint = {name: value / total for name, value in zip(numbers, sums, strict=True) if total}
        return joint or numbers, total

    def unite(self, tensors: Iterable[Tensor]) -> None:
        send_together([t.detach() for t in tensors], lambda sent: dist.broadcast(sent, src=0))

    def add_gradients(self, parameters: Iterable[Parameter]) -> None:
        parameters = list(parameters)
        owners = self.sums([p.grad is not None for p in parameters])
        having = [p for p, number in zip(parameters, owners, strict=True) if number]
        for p in having:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        send_together([p.grad for p in having if p.grad is not None], dist.all_reduce)

    def _tensor(self, numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=self._wire)


@contextmanager
def processes(model: nn.Module) -> Iterator[Processes]:
    """The processes that this one was started among; a group that is begun here ends here.

    A model on a CUDA device is moved to the device of this process, number `LOCAL_RANK`.
    """
    begun = dist.is_available() and dist.is_initialized()
    size = dist.get_world_size() if begun else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or not (begun or "RANK" in os.environ):
        yield Processes()
        return
    device = _own_device(model)
    if not begun:
        _begin("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(device)
    finally:
        if not begun:
            dist.destroy_process_group()


def _begin(backend: str) -> None:
    """A process group with names of its own: those of one that has ended lead nowhere."""
    from torch.distributed.distributed_c10d import PrefixStore

    store, rank, size = _meeting()
    own = PrefixStore(f"genfast {next(_GROUPS)}", store)
    dist.init_process_group(backend, store=own, rank=rank, world_size=size)


@cache
def _meeting() -> tuple[Any, int, int]:
    """Where the processes meet, kept for the next group; the number of this one, and of all."""
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    return store, rank, size


def _own_device(model: nn.Module) -> torch.device:
    device = next(model.parameters()).device
    if device.type != "cuda":
        return device
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", device.index or 0)))
    torch.cuda.set_device(device)
    model.to(device)
    return device
