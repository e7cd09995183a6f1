"""One row of `bench_masked_conv`: the layer, a training step of each form, and their equality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.conv_forms import FORMS, Form, Mask
from genfast.nn import MaskedConv2d

OURS = "genfast"
#: Of the largest value of a result; float32 sums of some thousands of products.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Task:
    """One row: a layer of `channels` in and out, a k x k kernel, a mask of kind "A" or "B"."""

    channels: int
    k: int
    kind: Any
    batch: int = 32
    side: int = 28

    @property
    def name(self) -> str:
        return f"{self.channels} channels, {self.k}x{self.k} {self.kind}"

    @property
    def multiply_adds(self) -> int:
        """Those of the live taps, forward and both ways back."""
        live = len(Mask(self.kind, self.k).taps)
        return 3 * self.batch * self.side**2 * live * self.channels**2


class Step:
    """One training step of a layer: output and gradients of input, weight and bias."""

    def __init__(
        self, task: Task, form: Form, nhwc: bool, dtype: torch.dtype = torch.float32
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        self._mask, self._form = Mask(task.kind, task.k), form
        c, k = task.channels, task.k
        shape = (task.batch, c, task.side, task.side)
        layout = torch.channels_last if nhwc else torch.contiguous_format

        def made(*sizes: int) -> Tensor:
            values = torch.randn(sizes, generator=generator, dtype=torch.float64).to(dtype)
            return values.to(memory_format=layout) if sizes == shape else values

        self._x, self._grad = made(*shape).requires_grad_(), made(*shape)
        weight = made(c, c, k, k) * self._mask.values.to(dtype) / (c * k) ** 0.5
        self._leaves = (self._x, weight.requires_grad_(), made(c).requires_grad_())

    def __call__(self) -> tuple[Tensor, ...]:
        y = self._form(*self._leaves, self._mask)
        return (y, *torch.autograd.grad(y, self._leaves, self._grad))

    def error(self, exact: tuple[Tensor, ...]) -> float:
        """The largest error, as a share of the largest value, of output and gradients."""
        y, by_x, by_weight, by_bias = self()
        found = (y, by_x, by_weight * self._mask.values, by_bias)
        pairs = zip(found, exact, strict=True)
        return max(float((a - b).detach().abs().max() / b.detach().abs().max()) for a, b in pairs)


def layer_form(task: Task) -> Form:
    """The layer of genfast, as a form."""
    layer = MaskedConv2d(task.kind, task.channels, task.channels, task.k)

    def form(x: Tensor, weight: Tensor, bias: Tensor, mask: Mask) -> Tensor:
        leaves = {"weight": weight, "bias": bias}
        output: Tensor = torch.func.functional_call(layer, leaves, (x,))
        return output

    return form


def steps(task: Task) -> dict[str, Step]:
    """Every contender by name; compiled ones are added when the fastest is known."""
    found = {
        f"{name}, {'channels_last' if nhwc else 'nchw'}": Step(task, form, nhwc)
        for name, (form, layouts) in FORMS.items()
        for nhwc in layouts
    }
    return found | {OURS: Step(task, layer_form(task), nhwc=True)}


def check(task: Task, contenders: dict[str, Step], exact: tuple[Tensor, ...]) -> dict[str, float]:
    """The error of each, or AssertionError."""
    errors = {name: step.error(exact) for name, step in contenders.items()}
    for name, error in errors.items():
        if not error < TOLERANCE:
            raise AssertionError(f"{task.name}: {name} is off by {error:.1e}")
    return errors
