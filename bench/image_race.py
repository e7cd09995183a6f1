"""How the contenders of a row of images are timed: screened once, raced in turns.

    enter    a run that warms up, or compiles, and whose result is kept for the check; one that is
             timed, and says how many runs fill a measurement
    race     rounds over those near the fastest of their kind; each round measures every one of
             them and the multiply-add peaks once, so that noise from outside hits all alike

A contender that does not race keeps its screened time: its `rounds` is 1.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.harness import spread
from bench.image_task import NAIVE, OURS, Contender
from bench.rows import MARGIN
from genfast._extension import core
from genfast.demo.timing import settle

#: A run that takes longer warms itself up.
LONG = 3.0
#: Looks at a screened contender of several threads, whose workers may have begun on one core.
LOOKS = 3
#: Of a run and repeats: seconds of a run, and what the last one gave.
Clock = Callable[[Callable[[], Any], int], tuple[float, Any]]


@dataclass(frozen=True)
class Effort:
    """How long everything is measured.

    Args:
        measure: Seconds that the runs of one measurement fill, at least one run.
        rounds: Measurements of each that races, at most.
        seconds: After so many seconds, and two measurements, a contender is done.
    """

    measure: float = 0.15
    rounds: int = 7
    seconds: float = 4.0


def by_wall(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Seconds of a run, and what the last one gave."""
    made, begin = None, time.perf_counter()
    for _ in range(repeats):
        made = run()
    return (time.perf_counter() - begin) / repeats, made


@dataclass
class Entry:
    """A contender in a row.

    Args:
        contender: Who.
        made: What its first run gave.
        repeats: Runs of one measurement.
        seconds: Of a whole draw, so far.
        differing: Images that it draws otherwise than the core.
        timed: The clock, called as `by_wall`.
    """

    contender: Contender
    made: Any
    repeats: int
    seconds: list[float] = field(default_factory=list)
    differing: int = 0
    timed: Clock = by_wall

    @property
    def best_guess(self) -> float:
        return min(self.seconds)

    def measure(self) -> None:
        """One measurement."""
        self.contender.prepare()
        settle()
        passed, _ = self.timed(self.contender.run, self.repeats)
        self.seconds.append(passed * self.contender.scale)

    def done(self, effort: Effort) -> bool:
        """Whether it was measured often or long enough."""
        spent = sum(self.seconds) * self.repeats / self.contender.scale
        count = len(self.seconds)
        return count >= effort.rounds or (count > 1 and spent > effort.seconds)

    def described(self) -> dict[str, Any]:
        """What the results file says of it."""
        facts = {name: getattr(self.contender, name) for name in ("kind", "form", "threads")}
        return {
            **facts,
            "ms": spread(self.seconds, 1e3),
            "repeats": self.repeats,
            "differing": self.differing,
        }


def enter(contender: Contender, effort: Effort, timed: Clock = by_wall) -> Entry:
    """Warmed up and timed once; looked at again where threads may not have found their cores."""
    contender.prepare()
    first, made = timed(contender.run, 1)
    entry = Entry(contender, made, 1, timed=timed)
    if first > LONG and "compiled" not in contender.form:
        entry.seconds.append(first * contender.scale)
        return entry
    entry.measure()
    once = entry.seconds[0] / contender.scale
    entry.repeats = max(1, round(effort.measure / once))
    for _ in range(LOOKS - 1 if contender.threads > 1 and once < LONG / LOOKS else 0):
        entry.measure()
    entry.seconds[:] = [entry.best_guess]
    return entry


def finalists(entries: Sequence[Entry]) -> list[Entry]:
    """Those within a margin of the fastest of their kind; ours and naive ones are all shown."""
    best: dict[str, float] = {}
    for entry in entries:
        kind = entry.contender.kind
        best[kind] = min(best.get(kind, entry.best_guess), entry.best_guess)
    return [
        e
        for e in entries
        if e.contender.kind in (OURS, NAIVE) or e.best_guess <= MARGIN * best[e.contender.kind]
    ]


def race(
    entries: Sequence[Entry], threads: Sequence[int], effort: Effort
) -> dict[str, dict[str, float]]:
    """Measures everybody in turns; returns the multiply-add peaks, `fma 1` and so on."""
    peaks: dict[str, list[float]] = {f"fma {count}": [] for count in threads}
    for entry in entries:
        # The one run of what takes very long is its first measurement, too.
        if entry.best_guess / entry.contender.scale < LONG:
            entry.seconds.clear()
    for _ in range(effort.rounds):
        for entry in entries:
            if not entry.done(effort):
                entry.measure()
        for count in threads:
            settle()
            peak = core.fma_peak(core.default_isa(), count, 0.03)
            peaks[f"fma {count}"].append(float(peak))
    return {name: spread(values) for name, values in peaks.items()}


def fastest(entries: Sequence[Entry], kind: str, word: str = "") -> Entry:
    """Of a kind, and of forms that contain `word`, the one with the lowest median."""
    of_kind = [e for e in entries if e.contender.kind == kind and word in e.contender.form]
    return min(of_kind, key=lambda e: statistics.median(e.seconds))
