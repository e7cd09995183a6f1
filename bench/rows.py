"""One row of a benchmark: its contenders proved equal, then timed; what is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench import machine
from bench.equality import Checker
from bench.harness import (
    AS_WRITTEN,
    SAME_ALGEBRA,
    Contender,
    Entry,
    enter,
    finalists,
    race,
    spread,
)
from bench.task import Array, Task, Weights, make_weights

BATCHES = (1, 16, 64, 256)
THREADS = (1, 2)
EQUALITY_DRAWS = 1024
#: Within this much of the fastest of its kind at first sight, a contender races.
MARGIN = 1.3
#: A rival may be left out where a neighbouring row shows it further behind than this.
HOPELESS = 2.0
#: Measurements of a contender of several threads before it is left behind.
LOOKS = 4

Row = dict[str, Any]


@dataclass
class Excuses:
    """Which rivals may be left out of a row, by what the rows around it have shown.

    Args:
        task: the row.
        before: rows measured so far, by name.
        left_out: who was left out, and why.
    """

    task: Task
    before: dict[str, Row]
    left_out: dict[str, str] = field(default_factory=dict)

    def grants(self, key: str) -> bool:
        """Whether contender `key` is left out; then the reason is noted."""
        reason = excuse(self.task, key, self.before)
        if reason is not None:
            self.left_out[key] = reason
        return reason is not None


@dataclass(frozen=True)
class Question:
    """What a benchmark asks of every row.

    Args:
        uniforms: random numbers (batch, sites) of a row.
        contenders: makes the contenders of a row one by one, ours first.
        summary: the figures that tables and pictures show.
    """

    uniforms: Callable[[Task], Array]
    contenders: Callable[[Task, Weights, Excuses], Iterable[Contender]]
    summary: Callable[[Task, Row], Row]


def measure_row(
    question: Question, task: Task, before: dict[str, Row], seconds: float, rounds: int
) -> Row:
    """Proves everybody equal, times them, and returns the row for the results file.

    Args:
        question: who takes part.
        task: what to draw.
        before: rows measured so far, by name; they may excuse rivals from this one.
        seconds: length of one measurement.
        rounds: measurements of each finalist.
    """
    weights, uniforms = make_weights(task), question.uniforms(task)
    excuses = Excuses(task, before)
    sites = max(4, EQUALITY_DRAWS // task.batch)
    checker = Checker(task, weights, uniforms[:, :sites])
    row: Row = {"task": vars(task), "contenders": {}, "left_out": excuses.left_out}
    entries: list[Entry] = []
    for contender in question.contenders(task, weights, excuses):
        contender.select()
        agreement = checker.check(contender.draw(uniforms[:, :sites]))
        entry = screened(contender, uniforms, seconds, entries)
        row["contenders"][contender.key] = _described(contender, entry, agreement)
        entries.append(entry)
    racing = finalists(entries, MARGIN)
    measured = race(racing, machine.ceilings(task), rounds)
    for entry in racing:
        row["contenders"][entry.contender.key]["us"] = spread(entry.seconds, 1e6)
    row["ceilings"] = {name: spread(values) for name, values in measured.items()}
    return row | {"summary": question.summary(task, row)}


def screened(contender: Contender, uniforms: Array, seconds: float, others: list[Entry]) -> Entry:
    """An entry with one time: a measurement or, if hopeless beside the others, the warm-up.

    One of several threads is hopeless only when it stays so: its worker may have begun on the
    caller's own core, where the scheduler leaves it for a second and a draw takes three times as
    long. It is measured until it is in the race, `LOOKS` times at most, and its lowest time counts.
    """
    entry = enter(contender, uniforms, seconds)
    rivals = [e.best_guess for e in others if e.contender.kind == contender.kind]
    best = min(rivals, default=entry.best_guess)
    if contender.threads == 1 and entry.best_guess > HOPELESS * best:
        return entry
    entry.seconds.clear()
    for _ in range(LOOKS if contender.threads > 1 else 1):
        entry.measure()
        if min(entry.seconds) <= MARGIN * best:
            break
    entry.seconds[:] = [min(entry.seconds)]
    return entry


def _described(contender: Contender, entry: Entry, agreement: dict[str, int]) -> Row:
    facts = {name: getattr(contender, name) for name in ("kind", "engine", "form", "threads")}
    return {**facts, "us": spread(entry.seconds, 1e6), "equality": agreement}


def neighbours(task: Task) -> Iterator[Task]:
    """Rows of the same cell and width: the batches beside this one, and the other depth."""
    at = BATCHES.index(task.batch)
    for batch in (*BATCHES[max(at - 1, 0) : at], *BATCHES[at + 1 : at + 2]):
        yield Task(task.cell, task.width, task.depth, batch, task.classes)
    yield Task(task.cell, task.width, 3 - task.depth, task.batch, task.classes)


def excuse(task: Task, key: str, before: dict[str, Row]) -> str | None:
    """Why contender `key` may be left out of this row, or None when it must be timed."""
    for other in neighbours(task):
        timed = before.get(other.name, {}).get("contenders", {})
        if key in timed:
            ratio = timed[key]["us"]["median"] / fastest(timed, timed[key]["kind"])["us"]["median"]
            if ratio > HOPELESS:
                return f"{ratio:.1f} x the fastest of its kind in {other.name}"
    return None


def fastest(timed: dict[str, Row], kind: str) -> Row:
    """The contender of this kind with the lowest median."""
    return min((c for c in timed.values() if c["kind"] == kind), key=lambda c: c["us"]["median"])


def against_rivals(row: Row, us: float) -> Row:
    """The fastest rival of each kind, and its time over `us`."""
    found: Row = {}
    for name, kind in (("as_written", AS_WRITTEN), ("same_algebra", SAME_ALGEBRA)):
        rival = fastest(row["contenders"], kind)
        who = f"{rival['engine']}, {rival['form']}, {rival['threads']} threads"
        ratio = rival["us"]["median"] / us
        found[name] = {"us": rival["us"]["median"], "who": who, "ratio": round(ratio, 3)}
    return found


def against_machine(task: Task, row: Row, us: float, threads: int) -> Row:
    """Work of a site, its floor, and what `us` has of floor and peak."""
    fma, read = (row["ceilings"][f"{name} {threads}"]["median"] for name in ("fma", "read"))
    operations = task.batch * task.multiply_adds
    floor = round(1e6 * machine.floor_seconds(task, fma, read), 3)
    return {
        "multiply_adds": operations,
        "weight_bytes": task.weight_bytes,
        "gflops": round(2e-3 * operations / us, 2),
        "floor_us": floor,
        "share_of_floor": round(floor / us, 3),
        "share_of_peak": round(1e6 * operations / us / fma, 3),
    }
