"""What does one site of a whole draw cost, for recurrent models?

A site is: step, readout, softmax, a categorical draw with a given uniform, and the symbol fed back.
float32, temperature 1, 65 symbols. Rivals "as users write it" multiply the embedding at every
site; those of the "same algebra" have folded it into a table, as genfast does.

    PYTHONPATH=python python -m bench.bench_recurrent            all rows, some 25 minutes
    PYTHONPATH=python python -m bench.bench_recurrent --quick    one small row of each cell
    ... --rows 'lstm 1x512'                                      rows whose name has this in it
    ... --resume                                                 keeps the rows in the file

Wants a quiet machine. Ten of the minutes are torch compiling; what it makes it keeps on disk.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

from bench import machine
from bench.harness import save
from bench.rows import BATCHES, Row, measure_row
from bench.task import Task

RESULTS = Path(__file__).parent / "results" / "recurrent.json"
TASKS = tuple(Task(*row) for row in product(("lstm", "gru"), (128, 512, 1024), (1, 2), BATCHES))
#: A row whose FMA peak is below this share of the best row's was disturbed.
QUIET, ATTEMPTS = 0.85, 3
QUICK = tuple(Task(cell, 128, 1, 1) for cell in ("lstm", "gru"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two small rows, shorter measurements")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--resume", action="store_true", help="keep the rows already in the file")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each finalist")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one measurement")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    seconds, rounds = (0.05, 3) if options.quick else (options.seconds, options.rounds)
    tasks = [t for t in (QUICK if options.quick else TASKS) if options.rows in t.name]
    results: dict[str, Any] = {"bench": "recurrent", "machine": machine.facts(), "rows": {}}
    if options.resume and options.out.exists():
        results["rows"] = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
    for task in tasks:
        if task.name in results["rows"]:
            continue
        begin = time.perf_counter()
        results["rows"][task.name] = undisturbed(task, results["rows"], seconds, rounds)
        rows = results["rows"]
        results["rows"] = {t.name: rows[t.name] for t in TASKS if t.name in rows}
        save(options.out, results)
        print(line(task.name, results["rows"][task.name], time.perf_counter() - begin), flush=True)


def undisturbed(task: Task, before: dict[str, Row], seconds: float, rounds: int) -> Row:
    """The row, measured again where something else held a core: the FMA peak beside it tells.

    Every contender is measured again, never one alone; the row says how often.
    """
    best = max((peak(row) for row in before.values()), default=0.0)
    for attempt in range(1, ATTEMPTS + 1):
        row = measure_row(task, before, seconds, rounds)
        row["attempts"] = attempt
        if peak(row) >= QUIET * best:
            break
    return row


def peak(row: Row) -> float:
    """Multiply-adds a second of two threads, measured in turns with the contenders."""
    return float(row["ceilings"]["fma 2"]["median"])


def line(name: str, row: Row, passed: float) -> str:
    """One row on the terminal."""
    s = row["summary"]
    ratios = "  ".join(
        f"{s[kind]['ratio']:.2f}x ({s[kind]['us']:.1f}, {s[kind]['who']})"
        for kind in ("as_written", "same_algebra")
    )
    return (
        f"{name:22} {s['us']:9.2f} us, {s['threads']} threads, {s['share_of_peak']:.0%} of the "
        f"peak, floor {s['floor_us']:.2f}  {ratios}  [{passed:.0f} s]"
    )


if __name__ == "__main__":
    main()
