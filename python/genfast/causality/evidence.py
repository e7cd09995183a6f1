"""What the probes found: which sites a probed site sees, and pairs that should not be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genfast.causality.order import Order, Pair

__all__ = ["Evidence"]

Bools = NDArray[np.bool_]


class Evidence:
    """Filled probe by probe.

    Args:
        order: Of the sites.
        probed: Sites whose sight is kept, ascending.

    Attributes:
        sees: (Q, S), whether a probed site was found to see a site, at any of their channels.
        known: (Q, S), whether somebody looked.
        first: The first forbidden pair found so far, in drawing order.
    """

    def __init__(self, order: Order, probed: list[int]) -> None:
        self.order = order
        self.probed: NDArray[np.int64] = np.array(probed)
        self.sees = np.zeros((len(probed), order.count), bool)
        self.known = np.zeros_like(self.sees)
        self.first: Pair | None = None

    def row(self, site: int, draw: int, seen: Bools) -> None:
        """Scores `draw` of a probed site see the values `seen` (S, C)."""
        at = int(np.searchsorted(self.probed, site))
        self.sees[at] |= seen.any(-1)
        self.known[at] = True
        forbidden = seen & (self.order.value_draws >= self.order.score_draws[site, draw])
        if forbidden.any():
            value, channel = np.argwhere(forbidden)[0]
            self.note(Pair(site, draw, int(value), int(channel)))

    def column(self, site: int, channel: int, moved: Bools) -> None:
        """A value of a site moves the scores `moved` (S, D)."""
        self.sees[:, site] |= moved[self.probed].any(-1)
        self.known[:, site] = True
        forbidden = moved & (self.order.score_draws <= self.order.value_draws[site, channel])
        if forbidden.any():
            drawer, draw = np.argwhere(forbidden)[0]
            self.note(Pair(int(drawer), int(draw), site, channel))

    def note(self, pair: Pair) -> None:
        """A forbidden pair."""
        self.first = pair if self.first is None else min(self.first, pair)
