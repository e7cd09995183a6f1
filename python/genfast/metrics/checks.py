"""Checks of what a measure is given, and its numbers as float64 rows."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from genfast.arguments import described

__all__ = ["check_enough", "checked_sets", "exact"]

# Kernels and covariances of such numbers stay finite in float64: the sixth power of one is 1e270.
_LARGEST = 1e45


def checked_sets(where: str, **sets: Tensor) -> list[Float64[Tensor, "n f"]]:
    """Sets of examples as rows, float64 (N, F) on the CPU.

    Args:
        where: The public function, for errors.
        sets: By the names of its arguments: real (N, ...), all of one shape behind N.

    Raises:
        ValueError: One is no such tensor, has another shape than the first, or a number in it is
            not finite.
    """
    rows: list[Tensor] = []
    first = next(iter(sets))
    for name, x in sets.items():
        wanted = f"{where}: {name} must be a tensor (N, ...) of real numbers"
        if not isinstance(x, Tensor) or x.is_complex() or x.ndim < 2 or not x.shape[1:].numel():
            raise ValueError(f"{wanted}, got {described(x)}")
        shape = tuple(sets[first].shape[1:])
        if tuple(x.shape[1:]) != shape:
            raise ValueError(f"{wanted}, rows of {shape} as {first} has, got {described(x)}")
        rows.append(exact(f"{where}: {name}", x).flatten(1))
    return rows


def exact(name: str, x: Tensor) -> Tensor:
    """A tensor in float64 on the CPU, or ValueError naming the first number that is not finite or
    too large to reckon with."""
    x = x.detach().to("cpu", torch.float64)
    wrong = ~(x.abs() < _LARGEST)
    if wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(
            f"{name} must be finite and below {_LARGEST:.0e} in size, got {x[place].item()} "
            f"at {list(place)}"
        )
    return x


def check_enough(name: str, x: Tensor, least: int, why: str) -> None:
    """ValueError that says how many rows are needed, unless there are as many."""
    if len(x) < least:
        raise ValueError(f"{name} must have at least {least} rows, {why}, got {len(x)}")
