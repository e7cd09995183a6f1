"""Batch norm whose statistics are those of the whole batch, in one process and in many.

Ioffe and Szegedy, "Batch Normalization", 2015. With n the values of a channel in all processes::

    mean = sum(x) / n    var = sum((x - mean)^2) / n    y = (x - mean) / sqrt(var + eps) * w + b

Each sum is one message, forward and backward. There are two, as the difference of the mean square
and the squared mean is mostly rounding where the mean is large.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["BatchNorm1d", "BatchNorm2d", "counting"]

_COUNTING = ContextVar("counting", default=True)


@contextmanager
def counting(own: bool) -> Iterator[None]:
    """While entered, whether rows count in the statistics of several processes.

    A process that is left without rows of a small batch is lent one, so that all send the same
    messages; it counts where it belongs.
    """
    before = _COUNTING.set(own)
    try:
        yield
    finally:
        _COUNTING.reset(before)


class _Joint(_BatchNorm):
    """torch's batch norm, but for training in a process group of several."""

    def forward(self, input: Tensor) -> Tensor:
        """As torch's; the rows of all processes are one batch.

        Raises:
            ValueError: In training a channel has a single value, whose variance is nothing.
        """
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)  # type: ignore[no-untyped-call]
        values = input.numel() // max(1, input.shape[1])
        if not _in_a_group():
            self._check_values(input, values)
            return super().forward(input)
        return self._joint(input, float(values if _COUNTING.get() else 0))

    def _joint(self, input: Tensor, values: float) -> Tensor:
        """Normalises rows by statistics to which this process gives so many values a channel."""
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        share, dims = float(values > 0), [0, *range(2, x.dim())]
        sums = _sum(torch.cat([x.sum(dims) * share, x.new_tensor([values])]))
        n = sums[-1].detach()
        if values < 2:  # more in any process are enough for all, and need no look at n
            self._check_values(input, float(n))
        mean = sums[:-1] / n
        centred = x - _channels(mean, x)
        var = _sum(centred.square().sum(dims) * share) / n
        self._remember(mean.detach(), var.detach() * (n / (n - 1)))
        scale = (var + self.eps).rsqrt()
        y = centred * _channels(scale if self.weight is None else scale * self.weight, x)
        return (y if self.bias is None else y + _channels(self.bias, x)).to(input.dtype)

    def _remember(self, mean: Tensor, var: Tensor) -> None:
        """Moves the running statistics towards these."""
        if not self.track_running_stats or self.num_batches_tracked is None:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(var.to(self.running_var.dtype), share)

    def _check_values(self, input: Tensor, values: float) -> None:
        if values < 2:
            raise ValueError(
                f"{type(self).__name__}: a training batch must have at least 2 values a channel, "
                f"got {values:.0f} in a batch of size {input.shape[0]}, {tuple(input.shape)}; "
                "choose a batch_size (and accumulate) that leaves no row alone"
            )


class BatchNorm1d(_Joint, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` whose batch is that of all processes: (N, C) or (N, C, L).

    In training in a process group of several, as under torchrun, mean and variance are those of the
    rows of all, and running statistics take in the unbiased variance of all; the gradient is that
    of the joined batch, also the gradient of a gradient. Every process must call it as often as
    the others. Unlike `torch.nn.SyncBatchNorm` it works on the CPU. Otherwise, and in its
    `state_dict`, it is torch's. A batch that `fit` cuts into parts (`accumulate`) is normalised
    part by part.
    """


class BatchNorm2d(_Joint, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose batch is that of all processes, (N, C, H, W); see
    `BatchNorm1d`.
    """


class _Sum(torch.autograd.Function):
    """The sum over the processes, in each of them: its derivative is itself, of any order."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _sum(own: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]
    return total


def _channels(values: Tensor, x: Tensor) -> Tensor:
    """(C,) as (1, C, 1, ...), to be broadcast over `x`."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


def _in_a_group() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
