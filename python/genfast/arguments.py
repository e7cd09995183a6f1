"""Checks of what a caller passes, and the options of a draw as one tensor row by row."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.heads import DrawOptions
from genfast.random import resolve_seed, row_indices, row_seeds

__all__ = [
    "RowOptions",
    "check_count",
    "check_lengths",
    "check_rows",
    "check_symbols",
    "check_tokens",
    "described",
    "row_symbols",
]


@dataclass
class RowOptions:
    """Options of every row, each a CPU tensor (N,).

    Args:
        seed, index: int64, the key and the counter of the row's uniforms.
        temperature: float32, at least 0.
        top_k: int64, 0 for off.
        top_p: float32 in (0, 1], 1 for off.
    """

    seed: Tensor
    index: Tensor
    temperature: Tensor
    top_k: Tensor
    top_p: Tensor

    @classmethod
    def of(
        cls,
        name: str,
        n: int,
        *,
        seed: int | Tensor | None = None,
        index: int | Tensor = 0,
        temperature: float | Tensor = 1.0,
        top_k: int | Tensor | None = None,
        top_p: float | Tensor | None = None,
    ) -> RowOptions:
        """Broadcasts numbers to `n` rows and checks everything.

        Args:
            name: The public function, for errors.
            n: Rows.
            seed: One for all, or int64 (N,); None takes 63 bits from torch's generator.
            index: Row i gets `index + i`; int64 (N,) is used as it is.
            temperature: One for all, or float (N,).
            top_k: One for all, or int64 (N,); None or 0 for off.
            top_p: One for all, or float (N,); None or 1 for off.

        Raises:
            ValueError: A value is out of range, or a tensor's dtype or shape is wrong.
        """
        return cls(
            row_seeds(f"{name}: seed", resolve_seed(seed), n),
            row_indices(f"{name}: index", index, n),
            _row_temperature(f"{name}: temperature", temperature, n),
            _row_top_k(f"{name}: top_k", top_k, n),
            _row_top_p(f"{name}: top_p", top_p, n),
        )

    @property
    def draw(self) -> DrawOptions:
        """What the head needs."""
        return DrawOptions(self.temperature, self.top_k, self.top_p)

    def select(self, rows: Int64[Tensor, " m"]) -> RowOptions:
        """These rows, in this order; a copy."""
        return RowOptions(*(getattr(self, field.name)[rows] for field in fields(self)))

    def put(self, rows: Int64[Tensor, " m"], other: RowOptions, names: set[str]) -> None:
        """Replaces the options called `names` of these rows by those of `other`."""
        for name in names:
            getattr(self, name)[rows] = getattr(other, name)


def check_count(name: str, value: int, least: int = 0) -> int:
    """An integer of at least `least`, or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def check_tokens(
    name: str, tokens: Tensor, device: torch.device, n: int | None = None, axes: str = "(N, T)"
) -> None:
    """ValueError unless `tokens` is int64, has two axes, `n` rows, and lies on `device`."""
    rows = "" if n is None else f" with N={n}"
    if not isinstance(tokens, Tensor):
        raise ValueError(
            f"{name} must be an int64 tensor {axes}{rows}, got {type(tokens).__name__}"
        )
    shaped = tokens.ndim == 2 and (n is None or len(tokens) == n)
    if tokens.dtype != torch.int64 or not shaped:
        raise ValueError(f"{name} must be int64 {axes}{rows}, got {described(tokens)}")
    if tokens.device != device:
        raise ValueError(f"{name} must be on {device}, as the model is, got {tokens.device}")


def check_symbols(name: str, tokens: Int64[Tensor, "n t"], classes: int, least: int = 0) -> None:
    """ValueError naming the first entry outside [least, classes) and its place."""
    wrong = (tokens < least) | (tokens >= classes)
    if wrong.any():
        row, site = (int(place) for place in wrong.nonzero()[0])
        raise ValueError(
            f"{name} must be at least {least} and below {classes}, "
            f"got {int(tokens[row, site])} in row {row}, site {site}"
        )


def check_lengths(
    name: str, lengths: Tensor, n: int, most: int, device: torch.device | None = None
) -> None:
    """ValueError unless `lengths` is int64 (N,) with every entry in [0, most]."""
    if not isinstance(lengths, Tensor) or lengths.dtype != torch.int64 or lengths.shape != (n,):
        raise ValueError(f"{name} must be int64 (N,) with N={n}, got {described(lengths)}")
    if device is not None and lengths.device != device:
        raise ValueError(f"{name} must be on {device}, got {lengths.device}")
    wrong = (lengths < 0) | (lengths > most)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(f"{name} must be from 0 to {most}, got {int(lengths[row])} in row {row}")


def check_rows(name: str, rows: Tensor, n: int) -> Int64[Tensor, " m"]:
    """Numbers of rows on the CPU, int64 (M,) in [0, n), or ValueError."""
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
        raise ValueError(f"{name} must be int64 (M,), got {described(rows)}")
    if ((rows < 0) | (rows >= n)).any():
        raise ValueError(f"{name} must be at least 0 and below {n}, got {rows.tolist()}")
    return rows.detach().cpu().contiguous()


def row_symbols(name: str, value: int | Tensor | None, n: int, classes: int) -> Int64[Tensor, " n"]:
    """One symbol a row on the CPU, -1 for none."""
    rows = _rows(name, -1 if value is None else value, n, torch.int64)
    check_symbols(name, rows[:, None], classes, -1)
    return rows


def described(value: object) -> str:
    """dtype and shape of a tensor, the type of anything else."""
    if not isinstance(value, Tensor):
        return f"{type(value).__name__} {value!r}"
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _row_temperature(name: str, value: float | Tensor, n: int) -> Tensor:
    rows = _rows(name, value, n, torch.float64)
    _check_range(name, "finite and at least 0", rows, rows.isfinite() & (rows >= 0))
    return rows.float()


def _row_top_k(name: str, value: int | Tensor | None, n: int) -> Tensor:
    rows = _rows(name, 0 if value is None else value, n, torch.int64)
    _check_range(name, "at least 0 (0 for off)", rows, rows >= 0)
    return rows


def _row_top_p(name: str, value: float | Tensor | None, n: int) -> Tensor:
    rows = _rows(name, 1.0 if value is None else value, n, torch.float64)
    _check_range(name, "in (0, 1]", rows, (rows > 0) & (rows <= 1))
    return rows.float()


def _rows(name: str, value: float | Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """A number repeated, or a tensor (N,) of the right kind, on the CPU; a copy."""
    kind = "an integer or int64" if dtype == torch.int64 else "a number or float"
    if isinstance(value, Tensor):
        right = value.dtype == dtype if dtype == torch.int64 else value.is_floating_point()
        if not right or value.shape not in ((n,), ()):
            raise ValueError(f"{name} must be {kind} (N,) with N={n}, got {described(value)}")
        return value.detach().to("cpu", dtype, copy=True).expand(n).contiguous()
    try:
        number = operator.index(value) if dtype == torch.int64 else float(value)  # type: ignore[arg-type]
        math.isnan(number)
        return torch.full((n,), number, dtype=dtype)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(f"{name} must be {kind} (N,) with N={n}, got {value!r}") from None


def _check_range(name: str, wanted: str, rows: Tensor, right: Tensor) -> None:
    if not right.all():
        row = int((~right).nonzero()[0])
        raise ValueError(f"{name} must be {wanted}, got {rows[row].item()} in row {row}")
