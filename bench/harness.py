"""How contenders are timed: in one process, in rounds that alternate, after they proved equal.

    screen   every contender once, shortly: how many sites fit into a measurement
    race     rounds over the finalists; each round runs every one of them and every ceiling once,
             so that noise from outside hits all alike; then median and spread

A contender that the screening finds far behind the best of its kind does not race; its screened
time is kept and says so: `rounds` is 1.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.task import Array, Symbols
from genfast.demo.timing import settle

OURS = "genfast"
AS_WRITTEN = "as users write it"
SAME_ALGEBRA = "same algebra"


@dataclass(frozen=True)
class Contender:
    """Somebody who draws.

    Args:
        kind: `OURS`, `AS_WRITTEN` or `SAME_ALGEBRA`.
        engine: what runs it, such as `"onnx scan"`.
        form: which way of writing it, such as `"gemm"`.
        threads: how many it uses.
        draw: uniforms (batch, sites) to symbols (batch, sites), from the first site on.
        select: called before a measurement, for settings of the whole process.
    """

    kind: str
    engine: str
    form: str
    threads: int
    draw: Callable[[Array], Symbols]
    select: Callable[[], None] = lambda: None

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.kind} | {self.engine} | {self.form} | {self.threads}"


@dataclass
class Entry:
    """A contender in a race: the sites that fill one measurement, and seconds a site so far."""

    contender: Contender
    uniforms: Array
    repeats: int = 1
    seconds: list[float] = field(default_factory=list)

    @property
    def best_guess(self) -> float:
        return statistics.median(self.seconds)

    def measure(self) -> None:
        """One measurement, after a short warm-up of the caches."""
        self.contender.select()
        settle()
        self.contender.draw(self.uniforms[:, : max(2, self.uniforms.shape[1] // 16)])
        begin = time.perf_counter()
        for _ in range(self.repeats):
            self.contender.draw(self.uniforms)
        passed = time.perf_counter() - begin
        self.seconds.append(passed / (self.repeats * self.uniforms.shape[1]))


def enter(contender: Contender, uniforms: Array, seconds: float) -> Entry:
    """Warms a contender up and chooses how many of these sites fill `seconds`.

    The warm-up's last draw is its first time, so that the hopeless need no other.
    """
    contender.select()
    sites, passed = 4, 0.0
    while True:
        begin = time.perf_counter()
        contender.draw(uniforms[:, :sites])
        passed = time.perf_counter() - begin
        if passed > seconds / 8 or sites >= uniforms.shape[1]:
            break
        sites = min(4 * sites, uniforms.shape[1])
    fitting = int(seconds * sites / passed)
    chosen = min(max(fitting, 4), uniforms.shape[1])
    return Entry(contender, uniforms[:, :chosen], max(1, fitting // chosen), [passed / sites])


def finalists(entries: Sequence[Entry], margin: float) -> list[Entry]:
    """Those within `margin` of the fastest of their kind."""
    best: dict[str, float] = {}
    for entry in entries:
        kind = entry.contender.kind
        best[kind] = min(best.get(kind, entry.best_guess), entry.best_guess)
    return [e for e in entries if e.best_guess <= margin * best[e.contender.kind]]


def race(
    entries: Sequence[Entry], ceilings: dict[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Alternates all entries and ceilings; returns what the ceilings measured, round by round."""
    for entry in entries:
        entry.seconds.clear()
    measured: dict[str, list[float]] = {name: [] for name in ceilings}
    for _ in range(rounds):
        for entry in entries:
            entry.measure()
        for name, ceiling in ceilings.items():
            settle()
            measured[name].append(ceiling())
    return measured


def spread(values: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    """Median, lowest, highest and number of rounds; `scale` converts the unit."""
    return {
        "median": round(statistics.median(values) * scale, 4),
        "low": round(min(values) * scale, 4),
        "high": round(max(values) * scale, 4),
        "rounds": len(values),
    }


def save(path: Path, results: dict[str, Any]) -> None:
    """Writes JSON beside the file and renames it, so that a kill leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
