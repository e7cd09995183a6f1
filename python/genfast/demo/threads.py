"""Training on one thread or on all of them, whichever is faster just now."""

from __future__ import annotations

from time import perf_counter

import torch

from genfast.training import Callback, State

_PERIOD = 5.0  # seconds between trials, at least
_SPARED = 20.0  # and so many times what a trial took that was in vain
_TRIAL = 4  # steps of a trial
_HOPELESS = 2.0  # a first step this much slower ends the trial


class FasterThreads(Callback):
    """Tries the other number of threads every few seconds, and keeps it when it is faster.

    The threads of a small model wait for each other many times a step, spinning. On an idle
    machine two are nearly twice as fast as one; where a neighbour takes a processor now and then
    they are ten times slower, and where several do, a step may take longer than it may train: it
    begins with one thread, which nobody holds up.
    """

    def __init__(self) -> None:
        self._all = torch.get_num_threads()
        if self._all > 1:
            torch.set_num_threads(1)
        self._usual = 0.0  # seconds of a step before the trial
        self._wait = 0.0  # the first trial comes early: a slow start would last a whole period
        self._trying = False
        self._times: list[float] = []
        self._last = self._began = perf_counter()

    def on_step(self, state: State) -> None:
        now = perf_counter()
        self._times.append(now - self._last)
        self._last = now
        if self._all == 1:
            return
        if not self._trying:
            if len(self._times) >= _TRIAL and now - self._began > self._wait:
                self._usual = self._mean()
                self._turn(trying=True)
        elif self._times[-1] > _HOPELESS * self._usual:
            self._turn(trying=False)
        elif len(self._times) == _TRIAL:
            if self._mean() < self._usual:
                self._restart(trying=False)
            else:
                self._turn(trying=False)

    def _mean(self) -> float:
        """Seconds of a step; the first, which wakes threads or lays them to rest, is left out."""
        return sum(self._times[1:]) / (len(self._times) - 1)

    def _turn(self, *, trying: bool) -> None:
        """To the other number: to try it, or back, since that was in vain."""
        torch.set_num_threads(self._all if torch.get_num_threads() == 1 else 1)
        self._restart(trying=trying, lost=0.0 if trying else sum(self._times))

    def _restart(self, *, trying: bool, lost: float = 0.0) -> None:
        self._trying, self._times = trying, []
        self._began, self._wait = perf_counter(), max(_PERIOD, _SPARED * lost)
