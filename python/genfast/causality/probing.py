"""The probes: one value changed, one score followed back, and the search for the first pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genfast.causality.evidence import Evidence
from genfast.causality.order import Order, Pair
from genfast.causality.view import Tape, View

__all__ = ["Probing", "chosen_sites"]

Watch = Callable[[list[list[tuple[int, int]]], str], Iterable[list[tuple[int, int]]]]


def chosen_sites(sites: tuple[int, ...], most: int, generator: torch.Generator) -> list[int]:
    """All sites where they are no more than `most`, else corners, edges, the middle, and others.

    Args:
        sites: (H, W) or (T,).
        most: How many.
        generator: Picks the others.
    """
    order = Order(sites, 1, 1)
    if order.count <= most:
        return list(range(order.count))
    special = [sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size))) for size in sites]
    chosen = [int(np.ravel_multi_index(place, sites)) for place in product(*special)][:most]
    mixed = torch.randperm(order.count, generator=generator).tolist()
    others = [site for site in mixed if site not in set(chosen)]
    return sorted(chosen + others[: most - len(chosen)])


class Probing:
    """Probes of one view, always on the same batch of random values.

    Scores are compared within batches of one shape and place by place: PyTorch promises the same
    bits for no other. A site that may not depend on a value must keep its scores exactly. What
    seems to see ahead, by scores or by gradients, is computed again from the inputs: what does not
    come twice is no property of the model.

    Args:
        view: The model.
        repeats: Inputs that each probe is made on.
        generator: Of all random values.
        watch: Wraps the batches of a search, to show progress.
    """

    def __init__(self, view: View, repeats: int, generator: torch.Generator, watch: Watch) -> None:
        self._view, self._generator, self._watch = view, generator, watch
        self._repeats = repeats
        self._values = view.values(generator)
        self._scores = view.scores(self._values)
        self.order = Order(view.sites, view.channels, self._scores.shape[2])

    def perturb(self, evidence: Evidence) -> None:
        """Changes each value of the probed sites alone, and sees which scores move."""
        jobs = product(evidence.probed.tolist(), range(self.order.channels))
        for batch in self._batches(jobs, "perturbation"):
            changed = self._values.clone()
            for row, place in enumerate(batch):
                changed[row][place] = self._view.others(changed[row][place], self._generator)
            moved = self._moved(changed).any(-1).cpu().numpy()
            if self._forbidden(batch, moved):
                moved &= self._moved_again(changed).any(-1).cpu().numpy()
            for row, (site, channel) in enumerate(batch):
                evidence.column(site, channel, moved[row])

    def follow_back(self, evidence: Evidence) -> bool:
        """Follows the scores of the probed sites back by gradients; False where none can be had.

        A random weight for every score, so that no two gradients cancel.

        Raises:
            FloatingPointError: A gradient is NaN, and nothing was found before.
        """
        tape = self._view.tape(self._values)
        if tape is None or not tape.scores.requires_grad:
            return False
        jobs = product(evidence.probed.tolist(), range(self.order.draws))
        for batch in self._batches(jobs, "gradients"):
            weights = torch.zeros_like(tape.scores)
            for row, place in enumerate(batch):
                noise = torch.randn(weights.shape[-1], generator=self._generator)
                weights[row][place] = noise.to(weights)
            seen = self._seen(tape, weights, evidence)
            if self._looks_ahead(batch, seen):
                again = self._view.tape(self._values)
                assert again is not None
                seen &= self._seen(again, weights, evidence)
            for row, (site, draw) in enumerate(batch):
                evidence.row(site, draw, seen[row])
        return True

    def first_pair(self, evidence: Evidence) -> Pair | None:
        """The first forbidden pair in drawing order of the whole model, if any was found.

        What was not probed is searched draw by draw: do its scores move when everything changes
        that is not drawn yet?
        """
        found = evidence.first
        if found is None or len(evidence.probed) == self.order.count:
            return found
        before = product(range(found.site + 1), range(self.order.draws))
        jobs = (job for job in before if job < (found.site, found.draw))
        for batch in self._batches(jobs, "the first pair"):
            changed = self._values.clone()
            for row, place in enumerate(batch):
                self._change_from(changed[row], int(self.order.score_draws[place]))
            moved = self._moved(changed).any(-1)
            if any(moved[row, site, draw] for row, (site, draw) in enumerate(batch)):
                moved &= self._moved_again(changed).any(-1)
            for row, (site, draw) in enumerate(batch):
                if moved[row, site, draw]:
                    return self._first_value(Pair(site, draw, *self._last))
        return self._first_value(found)

    def _first_value(self, pair: Pair) -> Pair:
        """The first forbidden value that these scores see: where changing all values up to it
        begins to move them, by bisection."""
        draw = int(self.order.score_draws[pair.site, pair.draw])
        low = first = int((self.order.value_draws < draw).sum())
        high = pair.seen * self.order.channels + pair.channel
        other = self._view.others(self._values, self._generator).flatten(1)
        while low < high:
            middle = (low + high) // 2
            changed = self._values.flatten(1).clone()
            changed[:, first : middle + 1] = other[:, first : middle + 1]
            moved = self._moved(changed.reshape(self._values.shape))
            if moved[:, pair.site, pair.draw].any():
                high = middle
            else:
                low = middle + 1
        return Pair(pair.site, pair.draw, *divmod(high, self.order.channels))

    def _forbidden(self, batch: list[tuple[int, int]], moved: NDArray[np.bool_]) -> bool:
        """Whether a changed value moved a score that may not see it."""
        changed = np.array([self.order.value_draws[place] for place in batch])
        early = self.order.score_draws <= changed[:, None, None]
        return bool((moved[: len(batch)] & early).any())

    def _looks_ahead(self, batch: list[tuple[int, int]], seen: NDArray[np.bool_]) -> bool:
        """Whether a score was followed back to a value that it may not see."""
        drawn = np.array([self.order.score_draws[place] for place in batch])
        late = self.order.value_draws >= drawn[:, None, None]
        return bool((seen[: len(batch)] & late).any())

    def _seen(self, tape: Tape, weights: Tensor, evidence: Evidence) -> NDArray[np.bool_]:
        """(N, S, C): values with a gradient of these scores; one of NaN says nothing."""
        grad = torch.autograd.grad(tape.scores, tape.leaf, weights, retain_graph=True)[0]
        sizes = tape.fold(grad)
        unknown = sizes.isnan()
        if unknown.any() and evidence.first is None:
            raise FloatingPointError("check_causality: the model gives gradients that are NaN")
        seen: NDArray[np.bool_] = ((sizes != 0) & ~unknown).cpu().numpy()
        return seen

    @property
    def _last(self) -> tuple[int, int]:
        return self.order.count - 1, self.order.channels - 1

    def _change_from(self, values: Tensor, draw: int) -> None:
        """Changes, of one sample (S, C), what draw `draw` and later ones give."""
        later = torch.from_numpy(self.order.value_draws >= draw).to(values.device)
        values[later] = self._view.others(values[later], self._generator)

    def _moved(self, changed: Tensor) -> Tensor:
        """(N, S, D, P): which scores are not what they were; -0 equals 0."""
        return self._view.scores(changed) != self._scores

    def _moved_again(self, changed: Tensor) -> Tensor:
        """The same with both sides computed anew: no pair is reported on one measurement."""
        self._scores = self._view.scores(self._values)
        return self._moved(changed)

    def _batches(
        self, jobs: Iterable[tuple[int, int]], label: str
    ) -> Iterator[list[tuple[int, int]]]:
        """Jobs, each as often as wanted and each time on another row, in batches."""
        every = [job for job in jobs for _ in range(self._repeats)]
        rows = len(self._values)
        batches = [every[i : i + rows] for i in range(0, len(every), rows)]
        yield from self._watch(batches, f"causality, {label}")
