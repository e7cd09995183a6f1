"""What `check_causality` says of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genfast.causality.order import Order, Pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Report"]

Place = tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """Which sites see which; printing it gives a few lines.

    A site is named by its place, (y, x) or (t,). Site t sees site s when a change of any value of
    s was found to move any score of t, on the inputs that were tried.

    Args:
        model: Name of the class.
        order: Sites and what is drawn at each.
        methods: "perturbation", "gradients".
        dtype: What the check was computed in.
        probed: (Q,) numbers of the sites whose sight is known, ascending.
        sees: bool (Q, S), whether a probed site sees a site.
        known: bool (Q, S), whether that was looked at; all of it where there are gradients.
        first: The first pair that should not be; None of a causal model.
    """

    model: str
    order: Order
    methods: tuple[str, ...]
    dtype: str
    probed: NDArray[np.int64]
    sees: NDArray[np.bool_] = field(repr=False)
    known: NDArray[np.bool_] = field(repr=False)
    first: Pair | None = None

    @property
    def complete(self) -> bool:
        """Whether every site was probed."""
        return len(self.probed) == self.order.count

    @cached_property
    def dependencies(self) -> Mapping[Place, int]:
        """How many earlier sites each probed site sees."""
        return {self.order.place(s): int(self._seen(s).sum()) for s in self.probed.tolist()}

    @cached_property
    def unseen(self) -> Mapping[Place, list[Place]]:
        """The earlier sites that each probed site never sees."""
        return {self.order.place(s): self._places(self._unseen(s)) for s in self.probed.tolist()}

    @cached_property
    def blind_spot(self) -> Mapping[Place, list[Place]]:
        """Those of `unseen` within reach: in the smallest rectangle around the site and all that
        it sees. The rest of `unseen` is only too far away for the model's depth."""
        return {self.order.place(s): self._places(self._blind(s)) for s in self.probed.tolist()}

    def plot(self, site: Place | None = None) -> Figure:
        """A picture of what a site sees, its blind spot marked.

        Args:
            site: A probed site; when None the one of the largest blind spot, or the one that sees
                what it should not.

        Raises:
            ValueError: The site was not probed.
        """
        from genfast.causality.picture import picture

        return picture(self, self._number(site))

    def png(self, path: str | Path, site: Place | None = None) -> None:
        """Writes the picture of `plot` to a PNG file.

        Raises:
            ValueError: The site was not probed.
            OSError: The file cannot be written.
        """
        self.plot(site).savefig(path, format="png")

    def classes(self, site: int) -> NDArray[np.int64]:
        """(S,): what each site is to a probed one, numbers of `picture.KINDS`."""
        kinds = np.zeros(self.order.count, np.int64)
        kinds[self._earlier(site)] = 1
        kinds[self._unseen(site)] = 2
        kinds[self._seen(site)] = 3
        kinds[self._blind(site)] = 4
        kinds[site] = 5
        later = np.arange(self.order.count) > site
        kinds[later & self.sees[self._at(site)]] = 6
        if self.first is not None and self.first.site == self.first.seen == site:
            kinds[site] = 6
        return kinds

    def __str__(self) -> str:
        counts = list(self.dependencies.values())
        of = "all" if self.complete else f"{len(self.probed)} of {self.order.count}"
        found = "no score sees what is not drawn yet"
        if self.first is not None:
            found = self.order.sentence(self.first)
        lines = [
            f"{self.model}: {found}",
            f"probed       {of} sites, by {' and '.join(self.methods)}, in {self.dtype}",
            f"sees         {min(counts)} to {max(counts)} earlier sites",
            f"never sees   {self._tally(self.unseen)}",
            f"blind spot   {self._tally(self.blind_spot)}",
        ]
        if self.order.count > 1 and not self.sees.any():
            lines.append("No site sees any other: are weights of the model zero?")
        return "\n".join(lines)

    def _tally(self, places: Mapping[Place, list[Place]]) -> str:
        """Sizes of these, and where the largest is."""
        site, most = max(places.items(), key=lambda item: len(item[1]))
        if not most:
            return "none"
        having = sum(bool(p) for p in places.values())
        name = self.order.named(int(np.ravel_multi_index(site, self.order.sites)))
        return f"{having} of {len(places)} sites; {len(most)} sites at {name}"

    def _number(self, site: Place | None) -> int:
        """The number of a probed site, or ValueError."""
        if site is None and self.first is not None and self.first.site in self.probed:
            return self.first.site
        if site is None:
            largest: int = max(self.probed.tolist(), key=lambda s: (self._blind(s).sum(), s))
            return largest
        inside = len(site) == len(self.order.sites) and all(
            0 <= i < size for i, size in zip(site, self.order.sites, strict=True)
        )
        number = int(np.ravel_multi_index(site, self.order.sites)) if inside else -1
        if number not in self.probed:
            raise ValueError(f"plot: site must be one that was probed, got {site}")
        return number

    def _at(self, site: int) -> int:
        return int(np.searchsorted(self.probed, site))

    def _earlier(self, site: int) -> NDArray[np.bool_]:
        return np.arange(self.order.count) < site

    def _seen(self, site: int) -> NDArray[np.bool_]:
        seen: NDArray[np.bool_] = self._earlier(site) & self.sees[self._at(site)]
        return seen

    def _unseen(self, site: int) -> NDArray[np.bool_]:
        at = self._at(site)
        unseen: NDArray[np.bool_] = self._earlier(site) & self.known[at] & ~self.sees[at]
        return unseen

    def _blind(self, site: int) -> NDArray[np.bool_]:
        """Unseen sites in the rectangle around all that is seen."""
        reach = self._seen(site).copy()
        reach[site] = True
        places = np.argwhere(reach.reshape(self.order.sites))
        box = np.zeros(self.order.sites, bool)
        box[tuple(slice(a, b + 1) for a, b in zip(places.min(0), places.max(0), strict=True))] = 1
        return self._unseen(site) & box.reshape(-1)

    def _places(self, sites: NDArray[np.bool_]) -> list[Place]:
        return [self.order.place(int(s)) for s in np.flatnonzero(sites)]
