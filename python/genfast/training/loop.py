"""The training loop: steps, epochs, held-out loss, and every way to end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genfast.training.batches import Batch, Batches
from genfast.training.history import Callback, State
from genfast.training.interrupt import Interrupt
from genfast.training.options import Options


class Loop:
    """A run; `state` is all that changes.

    Args:
        state: The model in training mode, its optimizer, and an empty history.
        options: How long, how fast.
        train: What to train on.
        held: What to measure on, if anything.
        callbacks: Called in this order.
        interrupt: Looked at after every step.
    """

    def __init__(
        self,
        state: State,
        options: Options,
        train: Batches,
        held: Batches | None,
        callbacks: Sequence[Callback],
        interrupt: Interrupt,
    ) -> None:
        self.state, self.options, self.train, self.held = state, options, train, held
        self.callbacks, self.interrupt = callbacks, interrupt
        groups = state.optimizer.param_groups
        self._parameters = [p for group in groups for p in group["params"]]
        self._rates = [group["lr"] for group in groups]
        self._device = self._parameters[0].device
        self._start = time.monotonic()
        self._batches = 0  # done of the epoch at hand

    def run(self) -> None:
        """Epochs until the run is over."""
        while not self._over():
            whole = self._epoch()
            if not self._batches:
                raise ValueError("fit: data must give at least one batch an epoch, got none")
            if whole:
                self.state.history.epochs += 1
                self._batches = 0
            self._evaluate()
            self._measure()
            if not self.interrupt.requested:
                self._call("on_epoch")

    def _epoch(self) -> bool:
        """Steps through the batches; False when the run ended before they did."""
        self._batches = 0
        for batch in self.train.epoch(self.state.epoch, self.state.step):
            self._step(_move(batch, self._device))
            self._batches += 1
            self._measure()
            self._call("on_step")
            if self._over():
                return self._batches == self.train.length
        return self._batches > 0

    def _step(self, batch: Batch) -> None:
        state, clip = self.state, self.options.clip
        self._set_rates()
        state.optimizer.zero_grad(set_to_none=True)
        result = _training_step(state.model, batch, state.step)
        loss = _finite("loss", result["loss"], state.step)
        result["loss"].backward()
        if clip is not None:
            norm = nn.utils.clip_grad_norm_(self._parameters, clip)
            _finite("norm of the gradient", norm, state.step)
        state.optimizer.step()
        state.numbers = {"loss": loss, **_numbers(result)}
        state.history.add(state.numbers)

    def _set_rates(self) -> None:
        """The rates of the middle of this step: none is zero at the first step or the last."""
        factor = self.options.factor(self._fraction(ahead=0.5))
        for group, rate in zip(self.state.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _evaluate(self) -> None:
        """The held-out loss, a mean over examples."""
        if self.held is None or self.interrupt.requested:
            return
        model, history = self.state.model, self.state.history
        total, weight = 0.0, 0
        model.eval()
        with torch.no_grad():
            for batch in self.held.epoch(0, 0):
                result = _training_step(model, _move(batch, self._device), history.steps)
                rows = _examples(batch)
                total, weight = total + float(result["loss"]) * rows, weight + rows
                if self.interrupt.requested:
                    break
        model.train()
        if weight and not self.interrupt.requested:
            history.held_out.append((history.steps, total / weight))

    def _fraction(self, ahead: float = 0.0) -> float:
        """How much of the run is done, `ahead` steps from now."""
        history, length = self.state.history, self.train.length
        part = min(1.0, (self._batches + ahead) / length) if length else 0.0
        return self.options.fraction(history.epochs + part, history.steps + ahead, history.seconds)

    def _measure(self) -> None:
        self.state.history.seconds = time.monotonic() - self._start
        self.state.fraction = self._fraction()

    def _over(self) -> bool:
        if self.interrupt.requested:
            self.state.history.stopped = "interrupted"
        elif self.state.stop:
            self.state.history.stopped = "callback"
        return self.state.history.stopped != "finished" or self.state.fraction >= 1

    def _call(self, name: str) -> None:
        for callback in self.callbacks:
            if hasattr(callback, name):
                getattr(callback, name)(self.state)


def _training_step(model: nn.Module, batch: Batch, step: int) -> Mapping[str, Any]:
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


def _finite(name: str, value: Tensor, step: int) -> float:
    number = float(value.detach())
    if not math.isfinite(number):
        raise FloatingPointError(
            f"fit: the {name} of step {step} is {number}; the weights are those before it; "
            "a lower lr or clip may help"
        )
    return number


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """What a step returned beside the loss, where it is a number."""
    return {
        name: float(value)
        for name, value in result.items()
        if name != "loss"
        and (isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1))
    }


def _move(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: _move(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(_move(value, device) for value in batch)
    return batch


def _examples(batch: Batch) -> int:
    """The rows of a batch: the length of the first tensor in it."""
    while isinstance(batch, Mapping | tuple | list) and batch:
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    return len(batch) if isinstance(batch, Tensor) and batch.dim() else 1
