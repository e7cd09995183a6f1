"""What a draw is given at a site of a raster: uniforms, and what is given in place of a draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Asked", "Chance", "Part"]


class Part(NamedTuple):
    """A value of all sites, of which a loop takes one site after the other.

    Args:
        value: Its name; the axes of the sites stand before those of `shape`.
        kind: Its type.
        shape: Of one site.
    """

    value: str
    kind: int
    shape: list[int | str]


#: What a draw is given, by the names that its head knows it by.
Chance = dict[str, Part]


@dataclass(frozen=True)
class Asked:
    """What one draw is asked for at every site, before its head makes it ready.

    Args:
        uniform: float32 (*sites, draws, N) in [0, 1), the uniforms that it owns.
        given: int64 (*sites, targets, N), what to take in place of a draw; -1 draws.
        temperature: float32 (N), at least 0.
        axis: How many axes the sites have.
    """

    uniform: str
    given: str
    temperature: str
    axis: int
