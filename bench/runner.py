"""What every benchmark of rows does: its options, quiet rows, a results file after each of them."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.harness import save
from bench.rows import Question, Row, measure_row
from bench.task import Task

RESULTS = Path(__file__).parent / "results"
#: A row whose FMA peak is below this share of the best row's was disturbed.
QUIET, ATTEMPTS = 0.85, 3


@dataclass(frozen=True)
class Bench:
    """A benchmark with a command line.

    Args:
        name: of its results file.
        about: text of `--help`.
        question: what is asked of a row.
        tasks: all rows.
        quick: rows of `--quick`.
        line: the part of a row's summary that is its own, on the terminal.
    """

    name: str
    about: str | None
    question: Question
    tasks: tuple[Task, ...]
    quick: tuple[Task, ...]
    line: Callable[[Row], str]


def run(bench: Bench) -> None:
    """Measures the rows that the command line asks for."""
    options = _arguments(bench)
    seconds, rounds = (0.05, 3) if options.quick else (options.seconds, options.rounds)
    tasks = [t for t in (bench.quick if options.quick else bench.tasks) if options.rows in t.name]
    results: dict[str, Any] = {"bench": bench.name, "machine": machine.facts(), "rows": {}}
    if options.resume and options.out.exists():
        results["rows"] = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
    for task in tasks:
        if task.name in results["rows"]:
            continue
        begin = time.perf_counter()
        rows = results["rows"]
        rows[task.name] = row = undisturbed(bench.question, task, rows, seconds, rounds)
        results["rows"] = {t.name: rows[t.name] for t in bench.tasks if t.name in rows}
        save(options.out, results)
        passed = time.perf_counter() - begin
        print(f"{task.name:22} {bench.line(row['summary'])}  [{passed:.0f} s]", flush=True)


def undisturbed(
    question: Question, task: Task, before: dict[str, Row], seconds: float, rounds: int
) -> Row:
    """The row, measured again where something else held a core: the FMA peak beside it tells.

    Every contender is measured again, never one alone; the row says how often.
    """
    best = max((peak(row) for row in before.values()), default=0.0)
    for attempt in range(1, ATTEMPTS + 1):
        row = measure_row(question, task, before, seconds, rounds)
        row["attempts"] = attempt
        if peak(row) >= QUIET * best:
            break
    return row


def peak(row: Row) -> float:
    """Multiply-adds a second of two threads, measured in turns with the contenders."""
    return float(row["ceilings"]["fma 2"]["median"])


def rivals_line(summary: Row) -> str:
    """Both rivals of a summary, on the terminal."""
    return "  ".join(
        f"{summary[kind]['ratio']:.2f}x ({summary[kind]['us']:.1f}, {summary[kind]['who']})"
        for kind in ("as_written", "same_algebra")
    )


def _arguments(bench: Bench) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=bench.about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two small rows, shorter measurements")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--resume", action="store_true", help="keep the rows already in the file")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each finalist")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one measurement")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{bench.name}.json")
    return parser.parse_args()
