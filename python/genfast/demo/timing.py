"""The compiled draw beside the plain PyTorch loop: first the same symbols, then the time."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter

from genfast.demo.plain_loop import PlainLoop
from genfast.models import SequenceModel
from genfast.random import uniforms

_REPEATS = 5
# Rounding makes about one draw in a million differ; more than this is an error.
_MOST_DIFFERING = 1e-4


@dataclass(frozen=True)
class Timing:
    """Two drawers on the same weights and the same random numbers.

    Attributes:
        n: Texts drawn side by side.
        sites: Symbols compared, of all texts together.
        differing: Symbols that the loop draws differently, given the same text before.
        compiled: Median microseconds a symbol of the compiled draw.
        plain: The same of the plain loop.
        form: How the plain loop was fastest.
    """

    n: int
    sites: int
    differing: int
    compiled: float
    plain: float
    form: str

    @property
    def speedup(self) -> float:
        """How many times faster the compiled draw is."""
        return self.plain / self.compiled


def compare(model: SequenceModel, n: int, length: int, *, seed: int, temperature: float) -> Timing:
    """Draws `n` texts of `length` symbols both ways, alternately.

    Raises:
        RuntimeError: The two draw different symbols more often than rounding explains.
    """
    numbers = uniforms(seed, n, length)
    loop = PlainLoop(model, n, temperature)
    values = model.sample(n, length, seed=seed, temperature=temperature, backend="cpu").values
    differing = int((loop.draw(numbers, given=values) != values).sum())
    if differing > max(2, values.numel() * _MOST_DIFFERING):
        raise RuntimeError(
            f"compare: the compiled draw must agree with PyTorch, got {differing} other symbols "
            f"of {values.numel()}"
        )
    loop.tune(numbers[:, : max(1, length // 4)])
    compiled, plain = [], []
    for _ in range(_REPEATS):
        start = perf_counter()
        model.sample(n, length, seed=seed, temperature=temperature, backend="cpu")
        middle = perf_counter()
        loop.draw(numbers)
        compiled.append(middle - start)
        plain.append(perf_counter() - middle)
    sites = values.numel()
    scale = 1e6 / sites
    return Timing(n, sites, differing, median(compiled) * scale, median(plain) * scale, loop.form)
