"""Data parallel training: the same loop in one process and in many.

Every process is given the whole batch of a step and takes its run of rows. DistributedDataParallel
adds up their gradients, each of a loss weighted by its sites, so that the sum is the gradient of
the whole batch, to rounding. ::

    batch  [ rows of rank 0 | rows of rank 1 | ... ]
                  |                 |
            weight * loss     weight * loss        weight = processes * own sites / all sites
                  |                 |
                  +---- mean -------+-----> the gradient of the batch

Processes are told apart by `RANK`, `WORLD_SIZE` and `LOCAL_RANK`, which torchrun and accelerate
set, or by a process group that the caller has begun.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from itertools import count
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from genfast.training import rows
from genfast.training.rows import Batch

_GROUPS = count()
# Of a tenth of a millisecond each, for a thread that mostly needs none.
_MOST_WAITS = 10_000
TrainingStep = Callable[[Batch, int], Mapping[str, Any]]


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

    def mine(self, batch: Batch) -> tuple[Batch, bool]:
        """This process's rows of a batch, and whether there are any: one is given in any case."""
        return batch, True

    def means(self, numbers: dict[str, float], sites: float) -> tuple[dict[str, float], float]:
        """Means over the sites of all processes, from this one's; and the sites of all."""
        return numbers, sites

    def wrapped(self, model: nn.Module, step: TrainingStep) -> TrainingStep:
        """A training step whose gradients are the means over the processes."""
        return step

    def local(self, step: TrainingStep) -> AbstractContextManager[None]:
        """While entered, gradients are not sent: more parts of the batch follow."""
        return nullcontext()


class Group(Processes):
    """The processes of torch's process group, which has begun.

    Args:
        device: Where the model lies.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._device = device
        self._wire = device if dist.get_backend() == "nccl" else torch.device("cpu")

    def share(self, numbers: Sequence[float]) -> Sequence[float]:
        sent = self._tensor(numbers)
        dist.broadcast(sent, src=0)
        return _received(sent)

    def sums(self, numbers: Sequence[float]) -> Sequence[float]:
        sent = self._tensor(numbers)
        dist.all_reduce(sent)
        return _received(sent)

    def mine(self, batch: Batch) -> tuple[Batch, bool]:
        start, stop = rows.bounds(rows.count(batch), self.size, self.rank)
        return rows.take(batch, *((start, stop) if start < stop else (0, 1))), start < stop

    def means(self, numbers: dict[str, float], sites: float) -> tuple[dict[str, float], float]:
        weighted = [number * sites if sites else 0.0 for number in numbers.values()]
        total, *sums = self.sums([sites, *weighted])
        joint = {name: value / total for name, value in zip(numbers, sums, strict=True) if total}
        return joint or numbers, total

    def wrapped(self, model: nn.Module, step: TrainingStep) -> TrainingStep:
        from torch.nn.parallel import DistributedDataParallel

        indices = None if self._device.type == "cpu" else [self._device]
        return DistributedDataParallel(_Forward(model, step), device_ids=indices)

    def local(self, step: Any) -> AbstractContextManager[None]:
        waiting: AbstractContextManager[None] = step.no_sync()
        return waiting

    def _tensor(self, numbers: Sequence[float]) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=self._wire)


def _received(sent: torch.Tensor) -> list[float]:
    """The numbers, once the backend's thread has let go of them.

    It holds the tensor for a moment after the call has returned. Were it the last to let go while
    Python ends, it would wait for Python's lock, and the process die by `std::terminate`.
    """
    for _ in range(_MOST_WAITS):
        if sent._use_count() == 1:  # type: ignore[attr-defined]
            break
        time.sleep(1e-4)
    return list(sent.tolist())


class _Forward(nn.Module):
    """A model whose forward pass is its training step, which is what is parallel."""

    def __init__(self, model: nn.Module, step: TrainingStep) -> None:
        super().__init__()
        self.model, self._step = model, step

    def forward(self, batch: Batch, step: int) -> Mapping[str, Any]:
        return self._step(batch, step)


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
