"""The compiled draw beside PyTorch and ONNX Runtime: first the same symbols, then the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from genfast.demo.plain_loop import PlainLoop
from genfast.models import SequenceModel
from genfast.random import uniforms

if TYPE_CHECKING:
    from genfast.runtime import Sampler

__all__ = ["Timing", "alternately", "compare", "settle"]

_REPEATS = 5
# Seconds; workers of the one before spin for some 50 ms, and nobody waits for longer than this.
_LONGEST_SETTLE = 0.3
# Rounding makes about one draw in a million differ; more than this is an error.
_MOST_DIFFERING = 1e-4


@dataclass(frozen=True)
class Timing:
    """Drawers on the same weights and the same random numbers.

    Attributes:
        n: Texts drawn side by side.
        sites: Symbols compared, of all texts together.
        differing: Symbols that the plain loop draws differently, given the same text before.
        compiled: Median microseconds a symbol of the compiled draw.
        plain: The same of the plain loop.
        form: How the plain loop was fastest.
        exported: The same of the exported sampler; None where it was not timed.
        other_texts: Texts that the exported sampler draws otherwise: from one differing symbol on
            all that follows may differ.
    """

    n: int
    sites: int
    differing: int
    compiled: float
    plain: float
    form: str
    exported: float | None = None
    other_texts: int = 0

    @property
    def speedup(self) -> float:
        """How many times faster than the plain loop the compiled draw is."""
        return self.plain / self.compiled


def compare(
    model: SequenceModel,
    n: int,
    length: int,
    *,
    seed: int,
    temperature: float,
    sampler: Sampler | None = None,
) -> Timing:
    """Draws `n` texts of `length` symbols each way, alternately.

    Args:
        model: What is drawn from.
        n: Texts.
        length: Symbols of a text.
        seed: Of the texts.
        temperature: Above 0.
        sampler: The model's exported sampler, to be timed too.

    Raises:
        RuntimeError: They draw different symbols more often than rounding explains.
    """
    numbers = uniforms(seed, n, length)
    loop = PlainLoop(model, n, temperature)
    options: dict[str, Any] = {"seed": seed, "temperature": temperature}
    values = model.sample(n, length, **options, backend="cpu").values
    differing = int((loop.draw(numbers, given=values) != values).sum())
    _check_agreement("PyTorch", differing, values.numel())
    others = 0 if sampler is None else _other_texts(sampler, values, options)
    loop.tune(numbers[:, : max(1, length // 4)])
    drawers: list[Callable[[], object]] = [
        lambda: model.sample(n, length, **options, backend="cpu"),
        lambda: loop.draw(numbers),
    ]
    if sampler is not None:
        drawers.append(lambda: sampler.sample(n, length, **options))
    compiled, plain, *rest = (s * 1e6 / values.numel() for s in alternately(drawers))
    exported = rest[0] if rest else None
    return Timing(n, values.numel(), differing, compiled, plain, loop.form, exported, others)


def settle() -> None:
    """Sleeps until this process uses no processor: nobody is timed beside another's spinning."""
    end, nap = perf_counter() + _LONGEST_SETTLE, 0.005
    while perf_counter() < end:
        used = process_time()
        sleep(nap)
        if process_time() - used < nap / 10:
            return


def alternately(drawers: list[Callable[[], object]]) -> list[float]:
    """Median seconds of each, taken in turns so that all meet the same machine."""
    seconds: list[list[float]] = [[] for _ in drawers]
    for _ in range(_REPEATS):
        for drawer, taken in zip(drawers, seconds, strict=True):
            settle()
            start = perf_counter()
            drawer()
            taken.append(perf_counter() - start)
    return [median(taken) for taken in seconds]


def _other_texts(sampler: Sampler, values: Tensor, options: dict[str, Any]) -> int:
    """Texts of an exported sampler that are not the library's, or RuntimeError for too many."""
    drawn = torch.from_numpy(sampler.sample(*values.shape, **options).values)
    others = int((drawn != values).any(-1).sum())
    _check_agreement("ONNX Runtime", others, values.numel())
    return others


def _check_agreement(rival: str, differing: int, sites: int) -> None:
    if differing > max(2, sites * _MOST_DIFFERING):
        raise RuntimeError(
            f"compare: the compiled draw must agree with {rival}, got {differing} other symbols "
            f"of {sites}"
        )
