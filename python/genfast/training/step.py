"""One step of an optimizer on a batch, in parts and in several processes alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genfast.training import rows
from genfast.training.distributed import Processes
from genfast.training.precision import Precision
from genfast.training.rows import Batch


class Step:
    """A step of the optimizer along the gradient of the mean over the sites of a batch.

    With `s` the sites and `g` the gradient of the mean loss of a part of the batch, in one process,
    the gradient of the step is `sum(s * g) / sum(s)` over parts and processes.

    Args:
        model: With `training_step`.
        optimizer: Of its weights.
        clip: The longest the gradient may be; None does not clip.
        accumulate: Parts that a batch is cut into.
        precision: What the forward pass runs in.
        processes: Who else works at the batch.

    Attributes:
        device: Where the weights lie, and batches go.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        clip: float | None,
        accumulate: int,
        precision: Precision,
        processes: Processes,
    ) -> None:
        self._optimizer, self._clip, self._accumulate = optimizer, clip, accumulate
        self._precision, self._scaler, self._processes = precision, precision.scaler, processes
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.device = self._parameters[0].device
        self._forward = processes.wrapped(model, lambda batch, n: training_step(model, batch, n))

    def __call__(self, batch: Batch, step: int) -> dict[str, float]:
        """Takes the step; returns the numbers of it, "loss" first.

        Raises:
            FloatingPointError: The loss or the gradient is not finite; no weight has changed.
        """
        self._optimizer.zero_grad(set_to_none=True)
        mean, reference = Mean(), 0.0
        *early, last = rows.parts(batch, self._accumulate)
        for part in early:
            with self._processes.local(self._forward):
                reference = self._add(part, step, mean, reference)
        reference = self._add(last, step, mean, reference)
        if not 0 < mean.sites < math.inf:
            raise ValueError(f"fit: the sites of a batch must be above 0, got {mean.sites}")
        self._finish(reference / mean.sites, step)
        return mean.numbers()

    def _add(self, part: Batch, step: int, mean: Mean, reference: float) -> float:
        """Adds `sites / reference` times a part's gradient; the first part's sites are the unit."""
        mine, present = self._processes.mine(part)
        with self._precision.autocast():
            result = self._forward(rows.move(mine, self.device), step)
        own = sites(result, mine) * present
        numbers, total = self._processes.means(_numbers(result), own)
        _check_finite("loss", numbers["loss"], step)
        mean.add(numbers, total)
        reference = reference or total
        weight = self._processes.size * own / reference if own else 0.0
        loss: Any = result["loss"] if weight == 1 else result["loss"] * weight
        self._scaler.scale(loss).backward()
        return reference

    def _finish(self, factor: float, step: int) -> None:
        self._scaler.unscale_(self._optimizer)
        if factor != 1:
            for p in self._parameters:
                if p.grad is not None:
                    p.grad.mul_(factor)
        if self._clip is not None:
            norm = nn.utils.clip_grad_norm_(self._parameters, self._clip)
            if not self._scaler.is_enabled():
                _check_finite("norm of the gradient", float(norm), step)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._precision.check(step)


class Mean:
    """Means over sites, from those of parts; of one part they are its own numbers, to the bit."""

    def __init__(self) -> None:
        self.sites = 0.0
        self._values: dict[str, float] = {}

    def add(self, numbers: dict[str, float], sites: float) -> None:
        """Takes in the means over `sites` more."""
        self.sites += sites
        for name, number in numbers.items():
            old = self._values.get(name, number)
            self._values[name] = old + (number - old) * (sites / self.sites if sites else 0.0)

    def numbers(self) -> dict[str, float]:
        """The means; "sites" among them is their sum."""
        if "sites" in self._values:
            self._values["sites"] = self.sites
        return self._values


def training_step(model: nn.Module, batch: Batch, step: int) -> Mapping[str, Any]:
    """What `model.training_step` returns, a scalar loss in it.

    Raises:
        ValueError: There is none.
    """
    name = type(model).__name__
    if not hasattr(model, "training_step"):
        raise ValueError(f"fit: model must have training_step(batch, step), got a {name}")
    result: Mapping[str, Any] = model.training_step(batch, step)  # type: ignore[operator]
    loss = result.get("loss") if isinstance(result, Mapping) else None
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ValueError(
            f"fit: {name}.training_step must return dict(loss=a scalar tensor), got {result!r:.80}"
        )
    return result


def sites(result: Mapping[str, Any], batch: Batch) -> float:
    """How many sites a loss is the mean over: what the step says, else the rows of the batch."""
    return float(result["sites"] if "sites" in result else rows.count(batch))


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """What a step returned, where it is a number; the loss first."""
    loss = {"loss": float(result["loss"].detach())}
    return loss | {
        name: float(value)
        for name, value in result.items()
        if name != "loss"
        and (isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1))
    }


def _check_finite(name: str, number: float, step: int) -> None:
    if not math.isfinite(number):
        raise FloatingPointError(
            f"fit: the {name} of step {step} is {number}; the weights are those before it; "
            "a lower lr or clip may help"
        )
