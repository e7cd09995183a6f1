"""Tensors on their way between processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

# Of a tenth of a millisecond each, for a thread that mostly needs none.
_MOST_WAITS = 10_000
# Numbers that travel together: enough that a message's latency is small beside them.
_TOGETHER = 2**22


def received(sent: Tensor) -> list[float]:
    """The numbers, once the backend's thread has let go of them.

    It holds the tensor for a moment after the call has returned. Were it the last to let go while
    Python ends, it would wait for Python's lock, and the process die by `std::terminate`.
    """
    for _ in range(_MOST_WAITS):
        if sent._use_count() == 1:  # type: ignore[attr-defined]
            break
        time.sleep(1e-4)
    return list(sent.tolist())


@torch.no_grad()
def send_together(tensors: Iterable[Tensor], send: Callable[[Tensor], Any]) -> None:
    """Gives tensors what comes back when they are sent, many in one message.

    Args:
        tensors: The same ones in every process, in the same order.
        send: Changes a tensor of one dimension in place: a collective of torch's.
    """
    for bucket in _buckets(tensors):
        message = torch.cat([tensor.reshape(-1) for tensor in bucket])
        send(message)
        pieces = torch.split(message, [tensor.numel() for tensor in bucket])
        for tensor, piece in zip(bucket, pieces, strict=True):
            tensor.copy_(piece.view(tensor.shape))


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one kind, as many as travel together."""
    kinds: dict[object, list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for same in kinds.values():
        bucket, total = [], 0
        for tensor in same:
            bucket.append(tensor)
            total += tensor.numel()
            if total >= _TOGETHER:
                yield bucket
                bucket, total = [], 0
        if bucket:
            yield bucket
