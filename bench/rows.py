"""One row of bench_recurrent: which contenders it has, how it is measured, what is written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench import genfast_side, machine, rivals_onnx, rivals_torch
from bench.equality import Checker
from bench.harness import (
    AS_WRITTEN,
    OURS,
    SAME_ALGEBRA,
    Contender,
    Entry,
    enter,
    finalists,
    race,
    spread,
)
from bench.task import Array, Task, Weights, make_uniforms, make_weights

BATCHES = (1, 16, 64, 256)
THREADS = (1, 2)
EQUALITY_DRAWS = 1024
MAX_DRAWS = 65536
#: Within this much of the fastest of its kind at first sight, a contender races.
MARGIN = 1.3
#: A compiled rival is left out where a neighbouring row shows it further behind than this.
HOPELESS = 2.0

Row = dict[str, Any]


def measure_row(task: Task, before: dict[str, Row], seconds: float, rounds: int) -> Row:
    """Proves everybody equal, times them, and returns the row for the results file.

    Args:
        task: what to draw.
        before: rows measured so far, by name; they may excuse rivals from this one.
        seconds: length of one measurement.
        rounds: measurements of each finalist.
    """
    rivals_torch.forget()
    weights = make_weights(task)
    uniforms = make_uniforms(task, max(16, MAX_DRAWS // task.batch))
    sites = max(4, EQUALITY_DRAWS // task.batch)
    checker = Checker(task, weights, uniforms[:, :sites])
    row: Row = {"task": vars(task), "contenders": {}, "left_out": {}}
    entries: list[Entry] = []
    for contender in _contenders(task, weights, before, row["left_out"]):
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
    return row | {"summary": summary(task, row)}


def screened(contender: Contender, uniforms: Array, seconds: float, others: list[Entry]) -> Entry:
    """An entry with one time: a measurement or, if hopeless beside the others, the warm-up."""
    entry = enter(contender, uniforms, seconds)
    rivals = [e.best_guess for e in others if e.contender.kind == contender.kind]
    if entry.best_guess <= HOPELESS * min(rivals, default=entry.best_guess):
        entry.seconds.clear()
        entry.measure()
    return entry


def _described(contender: Contender, entry: Entry, agreement: dict[str, int]) -> Row:
    facts = {name: getattr(contender, name) for name in ("kind", "engine", "form", "threads")}
    return {**facts, "us": spread(entry.seconds, 1e6), "equality": agreement}


def _contenders(
    task: Task, weights: Weights, before: dict[str, Row], left_out: dict[str, str]
) -> Iterator[Contender]:
    """Ours first, then every rival; those that are excused go to `left_out` with the reason."""
    yield from genfast_side.contenders(task, weights, THREADS)
    for rivals in (rivals_onnx, rivals_torch):
        for kind, engine, form in rivals.offers(task):
            for threads in THREADS:
                key = f"{kind} | {engine} | {form} | {threads}"
                reason = excuse(task, key, before) if engine == "torch.compile" else None
                if reason is None:
                    yield rivals.build(task, weights, kind, engine, form, threads)
                else:
                    left_out[key] = reason


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


def summary(task: Task, row: Row) -> Row:
    """Ratios, floor and share of the peak, ours at its faster number of threads."""
    ours = fastest(row["contenders"], OURS)
    us, threads = ours["us"]["median"], ours["threads"]
    fma, read = (row["ceilings"][f"{name} {threads}"]["median"] for name in ("fma", "read"))
    found: Row = {"us": us, "threads": threads, "engine": ours["engine"]}
    for name, kind in (("as_written", AS_WRITTEN), ("same_algebra", SAME_ALGEBRA)):
        rival = fastest(row["contenders"], kind)
        who = f"{rival['engine']}, {rival['form']}, {rival['threads']} threads"
        ratio = rival["us"]["median"] / us
        found[name] = {"us": rival["us"]["median"], "who": who, "ratio": round(ratio, 3)}
    operations = task.batch * task.multiply_adds
    found["multiply_adds"] = operations
    found["weight_bytes"] = task.weight_bytes
    found["gflops"] = round(2e-3 * operations / us, 2)
    found["floor_us"] = round(1e6 * machine.floor_seconds(task, fma, read), 3)
    found["share_of_floor"] = round(found["floor_us"] / us, 3)
    found["share_of_peak"] = round(1e6 * operations / us / fma, 3)
    return found
