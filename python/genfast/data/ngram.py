"""An interpolated n-gram model with modified Kneser-Ney smoothing: the baseline to beat.

S. F. Chen and J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling"
(1998), section 4.1.6, where it was the best of all they compared. An order-n estimate discounts
every count a little and gives what it took away to the order below::

    p_n(c | h) = (count(hc) - D(count(hc)) + taken(h) * p_n-1(c | h without its first)) / count(h)

Below the highest order, `count(hc)` is the number of different symbols seen before `hc`. At the
bottom stands the uniform distribution, so that nothing has probability 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64
from torch import Tensor

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Level:
    """The counts of one order; a gram's key is its symbols as digits, the newest one lowest."""

    grams: Integers  # (G,) keys, ascending
    kept: Floats  # (G,) counts less their discounts
    contexts: Integers  # (C,) keys, ascending
    total: Floats  # (C,) the sum of the counts
    taken: Floats  # (C,) the sum of the discounts


class NGram:
    """Counts of a text, made into probabilities of the next symbol.

    Args:
        tokens: int64 (L,), the training text, L >= order.
        classes: Symbols of the vocabulary.
        order: n; the n-1 symbols before are looked at. `classes ** order` must be below 2**63.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> model = NGram(torch.tensor([0, 1] * 50), classes=2, order=2)
        >>> model.bits_per_symbol(torch.tensor([0, 1] * 8)) < 0.2
        True
    """

    def __init__(self, tokens: Int64[Tensor, " length"], classes: int, order: int = 5) -> None:
        if order < 1 or classes < 1 or classes**order >= 2**63:
            raise ValueError(
                "NGram: order and classes must be at least 1 with classes ** order below 2**63, "
                f"got order {order}, classes {classes}"
            )
        self.classes, self.order = classes, order
        symbols = self._symbols("tokens", tokens)
        if len(symbols) < order:
            raise ValueError(f"NGram: tokens must be at least {order} symbols, got {len(symbols)}")
        self._levels = [self._level(symbols, n) for n in range(1, order + 1)]

    def probabilities(self, tokens: Int64[Tensor, " length"]) -> Floats:
        """float64 (L,): of every symbol, given the ones before it in `tokens`."""
        symbols = self._symbols("tokens", tokens)
        p = np.full(len(symbols), 1 / self.classes)
        for n, level in enumerate(self._levels[: len(symbols)], start=1):
            grams = self._grams(symbols, n)
            lower = p[n - 1 :]
            row, seen = _find(level.contexts, grams // self.classes)
            place, met = _find(level.grams, grams)
            kept = np.where(met, level.kept[place], 0)
            p[n - 1 :] = np.where(seen, (kept + level.taken[row] * lower) / level.total[row], lower)
        return p

    def bits_per_symbol(
        self,
        tokens: Int64[Tensor, " length"],
        *,
        context: Int64[Tensor, " before"] | None = None,
    ) -> float:
        """The mean of -log2 p over `tokens`; `context` is the text before, which is not counted."""
        before = tokens[:0] if context is None else context[max(0, len(context) - self.order + 1) :]
        p = self.probabilities(torch.cat([before, tokens]))[len(before) :]
        if not len(p):
            raise ValueError("NGram: tokens must hold at least one symbol, got 0")
        return float(-np.log2(p).mean())

    def _symbols(self, name: str, tokens: Tensor) -> Integers:
        if tokens.dtype != torch.int64 or tokens.dim() != 1:
            kind = str(tokens.dtype).removeprefix("torch.")
            raise ValueError(f"NGram: {name} must be int64 (L,), got {kind} {tuple(tokens.shape)}")
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.classes:
            raise ValueError(
                f"NGram: {name} must be in 0..{self.classes - 1}, "
                f"got {int(tokens.min())}..{int(tokens.max())}"
            )
        return np.asarray(tokens.detach().cpu().numpy(), dtype=np.int64)

    def _grams(self, symbols: Integers, n: int) -> Integers:
        """(L - n + 1,): the key of the gram that ends at each symbol from the n-th on."""
        count = len(symbols) - n + 1
        keys = np.zeros(count, dtype=np.int64)
        for offset in range(n):
            keys = keys * self.classes + symbols[offset : offset + count]
        return keys

    def _level(self, symbols: Integers, n: int) -> _Level:
        if n == self.order:
            ends = self._grams(symbols, n)
        else:  # one entry for each different symbol before the gram
            ends = np.unique(self._grams(symbols, n + 1)) % self.classes**n
        grams, counts = np.unique(ends, return_counts=True)
        contexts, row = np.unique(grams // self.classes, return_inverse=True)
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        return _Level(
            grams=grams,
            kept=counts - discounts,
            contexts=contexts,
            total=np.bincount(row, weights=counts).astype(np.float64),
            taken=np.bincount(row, weights=discounts).astype(np.float64),
        )


def _discounts(counts: Integers) -> Floats:
    """(4,): what to take from a count of 0, 1, 2, and 3 or more (Chen and Goodman, equation 26)."""
    # A text too short to hold grams seen 1, 2, 3 and 4 times counts one of each.
    n = np.array([max(1, int((counts == k).sum())) for k in range(5)], dtype=np.float64)
    y = n[1] / (n[1] + 2 * n[2])
    optimal = [k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3)]
    # Below 0.1 nothing would be left for the order below; a whole count would leave none here.
    return np.array([0.0, *np.clip(optimal, 0.1, [0.9, 1.9, 2.9])])


def _find(keys: Integers, wanted: Integers) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Where each wanted key stands among ascending keys, and whether it does."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted
