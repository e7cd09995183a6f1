"""Arguments of a draw, checked, one value a row: what `genfast.arguments` does, in NumPy."""

from __future__ import annotations

import operator
import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.runtime.folder import Exported

__all__ = ["Prompt", "Rows", "integer", "radii", "whole_rows"]

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

SEED_LIMIT, INDEX_LIMIT, DRAW_LIMIT = 2**63, 2**32, 2**33


@dataclass(frozen=True)
class Rows:
    """Options of every row, each (N,): int64, or float32 for temperature and top_p.

    Args:
        seed, index: Key and counter of the row's uniforms.
        temperature: At least 0.
        top_k: 0 for off.
        top_p: In (0, 1], 1 for off.
        drawn_seed: The seed as the caller gave it, or what took the place of None.
    """

    seed: Integers
    index: Integers
    temperature: Floats
    top_k: Integers
    top_p: Floats
    drawn_seed: int | Integers

    @classmethod
    def of(
        cls, exported: Exported, n: int, *, seed: Any, index: Any, temperature: Any, **kept: Any
    ) -> Rows:
        """Broadcasts numbers to `n` rows and checks everything.

        Args:
            exported: What is drawn from; it says whether `top_k` and `top_p` may be given.
            n: Rows.
            seed: A number, integers (N,), or None for 63 bits from the system.
            index: A number, row i having `index + i`, or integers (N,).
            temperature: A number or (N,).
            kept: `top_k` and `top_p`, None where they are not given.

        Raises:
            ValueError: A value is out of range, of a wrong type or shape, or was not exported.
        """
        for name, value in kept.items():
            _check_exported(name, value, getattr(exported, name))
        seed = secrets.randbits(63) if seed is None else seed
        temperature = _numbers("temperature", temperature, n)
        _check("temperature", "finite and at least 0", temperature, temperature >= 0)
        top_p = _numbers("top_p", 1.0 if kept["top_p"] is None else kept["top_p"], n)
        _check("top_p", "in (0, 1]", top_p, (top_p > 0) & (top_p <= 1))
        seeds = whole_rows("seed", seed, n, SEED_LIMIT)
        return cls(
            seed=seeds,
            index=_indices(index, n),
            temperature=temperature.astype(np.float32),
            top_k=whole_rows("top_k", 0 if kept["top_k"] is None else kept["top_k"], n),
            top_p=top_p.astype(np.float32),
            drawn_seed=seeds if np.ndim(seed) else int(seed),
        )


@dataclass(frozen=True)
class Prompt:
    """What each row begins with: int64 (N, P) and lengths (N,); 0 behind a row's length."""

    symbols: Integers
    lengths: Integers

    @classmethod
    def of(cls, prompt: Any, lengths: Any, n: int, classes: int) -> Prompt:
        """Checks a prompt and leaves out columns that no row uses.

        Raises:
            ValueError: Wrong shape or type, a length beyond the prompt, an unknown symbol.
        """
        if prompt is None:
            if lengths is not None:
                raise ValueError("Sampler: prompt_lengths must be None without a prompt")
            return cls(np.zeros((n, 0), np.int64), np.zeros(n, np.int64))
        symbols = np.asarray(prompt)
        whole = symbols.dtype.kind in "iu" or symbols.size == 0
        if symbols.ndim != 2 or len(symbols) != n or not whole:
            raise ValueError(
                f"Sampler: prompt must be integers (N, P) with N={n}, got {_described(symbols)}"
            )
        lengths = symbols.shape[1] if lengths is None else lengths
        lengths = whole_rows("prompt_lengths", lengths, n, symbols.shape[1] + 1)
        symbols = symbols[:, : int(lengths.max(initial=0))]
        symbols = np.where(np.arange(symbols.shape[1]) < lengths[:, None], symbols, 0)
        _check("prompt", f"from 0 to {classes - 1}", symbols, (symbols >= 0) & (symbols < classes))
        return cls(symbols.astype(np.int64), lengths)


def integer(name: str, value: Any, least: int = 0) -> int:
    """An integer of at least `least`, or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"Sampler: {name} must be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"Sampler: {name} must be at least {least}, got {number}")
    return number


def whole_rows(name: str, value: Any, n: int, limit: int = SEED_LIMIT, least: int = 0) -> Integers:
    """One integer in [least, limit) a row: a number for all, or integers (N,); a copy."""
    found = np.asarray(value)
    if found.dtype.kind not in "iu" or found.shape not in ((), (n,)):
        _refuse_rows(name, "an integer or integers", n, value, found)
    _check(name, f"from {least} to {limit - 1}", found, (found >= least) & (found <= limit - 1))
    return np.broadcast_to(found, (n,)).astype(np.int64)


def radii(value: Any, n: int) -> Floats:
    """One radius above 0 a row, infinity for None: a number for all, or (N,)."""
    found = np.asarray(np.inf if value is None else value)
    if found.dtype.kind not in "iuf" or found.shape not in ((), (n,)):
        _refuse_rows("truncation", "a number or numbers", n, value, found)
    _check("truncation", "above 0", found, found > 0)
    return np.broadcast_to(found, (n,)).astype(np.float32)


def _indices(index: Any, n: int) -> Integers:
    if np.ndim(index):
        return whole_rows("index", index, n, INDEX_LIMIT)
    first = whole_rows("index", index, 1, INDEX_LIMIT - n + 1)
    return first + np.arange(n)


def _numbers(name: str, value: Any, n: int) -> NDArray[np.float64]:
    """One finite number a row."""
    found = np.asarray(value)
    if found.dtype.kind not in "iuf" or found.shape not in ((), (n,)):
        _refuse_rows(name, "a number or numbers", n, value, found)
    _check(name, "finite", found, np.isfinite(found))
    return np.broadcast_to(found, (n,)).astype(np.float64)


def _refuse_rows(name: str, wanted: str, n: int, value: Any, found: NDArray[Any]) -> None:
    got = repr(value) if found.ndim == 0 else _described(found)
    raise ValueError(f"Sampler: {name} must be {wanted} (N,) with N={n}, got {got}")


def _check(name: str, wanted: str, values: NDArray[Any], right: NDArray[np.bool_]) -> None:
    """ValueError naming the first value that is not right, and its row."""
    if right.all():
        return
    place = tuple(int(i) for i in np.argwhere(~right)[0])
    row = f" in row {place[0]}" if place else ""
    raise ValueError(f"Sampler: {name} must be {wanted}, got {values[place]}{row}")


def _check_exported(name: str, value: Any, exported: Any) -> None:
    """An option may be given where the export made it an input, or as what the export fixed."""
    if value is None or exported == "input" or (np.ndim(value) == 0 and value == exported):
        return
    fixed = "off" if exported is None else f"fixed to {exported}"
    raise ValueError(
        f"Sampler: {name} is {fixed} in this export, got {_described(np.asarray(value))}; "
        f'genfast.export(model, path, {name}="input") makes it an input'
    )


def _described(value: NDArray[Any]) -> str:
    return f"{value}" if value.ndim == 0 else f"{value.dtype} {value.shape}"
