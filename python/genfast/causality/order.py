"""The order in which the values of a sample are drawn, and what a score may therefore see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Order", "Pair"]


@dataclass(frozen=True, order=True)
class Pair:
    """Scores that see a value; pairs sort in drawing order.

    Args:
        site, draw: The scores of which draw of which site.
        seen, channel: The value that they see.
    """

    site: int
    draw: int
    seen: int
    channel: int


@dataclass(frozen=True)
class Order:
    """Sites in raster order (y, x), or in time; a site holds `channels` values.

    With `draws == channels` they are drawn one after the other, with `draws == 1` at once::

        score (t, d) sees value (s, c)?      s < t, or s == t and c < d
                                             s < t

    Args:
        sites: (H, W) of an image, (T,) of a sequence.
        channels: Values of a site.
        draws: Draws of a site: 1, or one a channel.
    """

    sites: tuple[int, ...]
    channels: int
    draws: int

    @property
    def count(self) -> int:
        """Number of sites."""
        return math.prod(self.sites)

    @property
    def score_draws(self) -> NDArray[np.int64]:
        """(S, D): the number of each draw."""
        return np.arange(self.count * self.draws).reshape(-1, self.draws)

    @property
    def value_draws(self) -> NDArray[np.int64]:
        """(S, C): the number of the draw that gives each value."""
        return np.broadcast_to(self.score_draws, (self.count, self.channels))

    def place(self, site: int) -> tuple[int, ...]:
        """(y, x) of a site of an image, (t,) of a sequence."""
        return tuple(int(i) for i in np.unravel_index(site, self.sites))

    def named(self, site: int) -> str:
        """A site in words: `(2, 3)` of an image, `3` of a sequence."""
        place = self.place(site)
        return str(place if len(place) > 1 else place[0])

    def sentence(self, pair: Pair) -> str:
        """What a forbidden pair means."""
        drawer = f"site {self.named(pair.site)}"
        drawer += f" channel {pair.draw}" if self.draws > 1 else ""
        value = f"site {self.named(pair.seen)}"
        value += f" channel {pair.channel}" if self.channels > 1 else ""
        same = self.value_draws[pair.seen, pair.channel] == self.score_draws[pair.site, pair.draw]
        return f"{drawer} sees {value}, which {'it is to draw' if same else 'is drawn after it'}"
