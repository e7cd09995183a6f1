"""The same arrays, drawn by the CPU core and by a simulated GPU."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Machines on which every program of the tests is followed: a block, clusters, the grid; with chips
# so small that values, weights or both stay in device memory.
ROOMY = {"cluster": 16, "blocks": 6, "shared_bytes": 232_448}


class Drawn(NamedTuple):
    """What a draw gives: int64 (N, T, v), float32 (N, T, d, p) and (N, T, d)."""

    values: NDArray[np.int64]
    scores: NDArray[np.float32]
    log_probs: NDArray[np.float32]

    def equals(self, other: Drawn) -> bool:
        """To the bit."""
        return all(np.array_equal(a, b) for a, b in zip(self, other, strict=True))


class Options(NamedTuple):
    """How a draw is bent; each a number for all rows or one a row."""

    temperature: Any = 1.0
    top_k: Any = 0
    top_p: Any = 1.0


class Given(NamedTuple):
    """What a draw is given, but for its uniforms."""

    start: dict[int, Any] = {}  # noqa: RUF012
    by_site: dict[int, Any] = {}  # noqa: RUF012
    forced: Any = None
    options: Options = Options()


def arrays(n: int, sites: int, draws: int, values: int, parameters: int) -> Drawn:
    """Poisoned ones, to be filled."""
    return Drawn(
        np.full((n, sites, values), -9, np.int64),
        np.full((n, sites, draws, parameters), np.nan, np.float32),
        np.full((n, sites, draws), np.nan, np.float32),
    )


def draw(session: Any, uniforms: Any, out: Drawn, given: Given, *threads: int) -> Drawn:
    """Runs all sites of a session of either kind."""
    n, sites = uniforms.shape[:2]
    dtypes = np.float32, np.int64, np.float32
    session.options(
        *(
            np.broadcast_to(np.asarray(option, dtype), (n,)).copy()
            for option, dtype in zip(given.options, dtypes, strict=True)
        )
    )
    for buffer, values in given.start.items():
        session.input(buffer, values)
    session.bind(
        uniforms, out.values, given.forced, out.scores, out.log_probs, inputs=given.by_site
    )
    assert session.advance(0, sites, *threads) == sites
    return out


def uniforms_of(n: int, sites: int, draws: int, seed: int = 3) -> NDArray[np.float32]:
    """float32 (n, sites, draws) in [0, 1), multiples of 2^-24; more rows begin with the same."""
    words = np.random.default_rng(seed).integers(2**24, size=(64, sites, draws))[:n]
    return (words * 2.0**-24).astype(np.float32)
