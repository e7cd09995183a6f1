"""One row of `bench_reparameterize`: the plain form, steps of everybody, and their equality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genfast.ops import reparameterize
from genfast.random import fold, normals

OURS = "genfast"
EAGER = "eager"
COMPILED = "compiled"
#: Of the largest value of a result.
TOLERANCE = {"float32": 2e-6, "bfloat16": 2e-2}

Form = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Task:
    """One row: `batch` latents of `latent` numbers."""

    batch: int
    latent: int
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return f"{self.batch}x{self.latent} {self.dtype}"

    def bytes(self, backward: bool) -> int:
        """What must move: two read and one written; on the way back three read, two written."""
        moved = 8 if backward else 3
        return moved * self.batch * self.latent * self.torch_dtype.itemsize

    @property
    def torch_dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype


def plain(mean: Tensor, logvar: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """As users write it."""
    noise = torch.randn_like(mean) if noise is None else noise
    z = mean + (logvar / 2).exp() * noise
    kl = (mean.square() + logvar.exp() - 1 - logvar).sum(-1) / 2
    return z, kl


class Ours:
    """genfast, under the seed of another step of training at every call."""

    def __init__(self) -> None:
        self._step = 0

    def __call__(self, mean: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
        self._step += 1
        return reparameterize(mean, logvar, seed=(self._step * 0x9E3779B97F4A7C15) >> 1 & 2**63 - 1)


class Step:
    """A call of a form, and with `backward` the gradients by mean and logvar of both results."""

    def __init__(
        self,
        task: Task,
        form: Form,
        threads: int,
        backward: bool,
        device: torch.device | str = "cpu",
    ) -> None:
        generator = torch.Generator().manual_seed(0)

        def made(*sizes: int) -> Tensor:
            return torch.randn(sizes, generator=generator).to(device, task.torch_dtype)

        shape = task.batch, task.latent
        self._leaves = made(*shape).requires_grad_(backward), made(*shape).requires_grad_(backward)
        self._grads = made(*shape), torch.ones(task.batch, device=device)
        self._form, self._threads, self._backward = form, threads, backward

    def select(self) -> None:
        torch.set_num_threads(self._threads)

    def __call__(self) -> tuple[Tensor, ...]:
        found = self._form(*self._leaves)
        if not self._backward:
            return found
        grads = self._grads[0], self._grads[1].to(found[1].dtype)
        return (*found, *torch.autograd.grad(found, self._leaves, grads))

    def exact(self, seed: int) -> tuple[Tensor, ...]:
        """The plain form's results in float64 on the processor, of the noise of a seed."""
        mean, logvar = (
            x.detach().cpu().double().requires_grad_(self._backward) for x in self._leaves
        )
        found = plain(mean, logvar, normals(seed, *mean.shape).double())
        if not self._backward:
            return found
        grads = tuple(g.cpu().double() for g in self._grads)
        return (*found, *torch.autograd.grad(found, (mean, logvar), grads))


def check(task: Task, backward: bool, device: torch.device | str = "cpu") -> float:
    """The largest error of genfast beside the plain form, the noise being the same."""
    seed = fold(1, "train", 0)
    step = Step(task, lambda *given: reparameterize(*given, seed=seed), 1, backward, device)
    error = 0.0
    for found, exact in zip(step(), step.exact(seed), strict=True):
        largest = float(
            (found.cpu().double() - exact).detach().abs().max() / exact.detach().abs().max()
        )
        error = max(error, largest)
    if not error < TOLERANCE[task.dtype]:
        raise AssertionError(f"{task.name}: genfast is off by {error:.1e}")
    return error


def steps(task: Task, backward: bool, threads: int, compiled: bool = True) -> dict[str, Step]:
    """Every contender by name, each at every number of threads up to `threads`."""
    forms: dict[str, Any] = {OURS: Ours(), EAGER: plain}
    if compiled:
        forms[COMPILED] = torch.compile(plain, dynamic=False)
    return {
        f"{name}, {count} thread{'s' * (count > 1)}": Step(task, form, count, backward)
        for name, form in forms.items()
        for count in range(1, threads + 1)
    }
