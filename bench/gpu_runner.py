"""What every benchmark of a GPU does: its options, a budget of time, a results file after each row.

A row whose genfast side draws otherwise, or raises, is saved with the reason in place of figures,
and the exit status is 1 at the end; a rival that does is left out of its row. So one fault does
not take the time that all the others need. With `--resume` rows that are in the file stay, but for
those that failed, and those that were measured without torch.compile where it now takes part.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench import gpu
from bench.harness import save
from bench.image_race import Effort, Entry, enter
from bench.image_task import Contender
from bench.runner import RESULTS

Row = dict[str, Any]
#: Exit statuses: a row failed; there is no GPU.
FAILED, NO_GPU = 1, 3


@dataclass(frozen=True)
class Setting:
    """How a row is measured.

    Args:
        device: Where rivals compute.
        side: Who draws for genfast: "cuda", "simulated" or "cpu".
        effort: How long everybody is measured.
        compiled: Whether torch.compile takes part.
    """

    device: torch.device
    side: str = "cuda"
    effort: Effort = field(default_factory=Effort)
    compiled: bool = True


@dataclass(frozen=True)
class Bench:
    """A benchmark with a command line.

    Args:
        name: Of its results file.
        about: Text of `--help`.
        tasks: All rows, what matters most first: a budget may end before the last.
        quick: Rows of `--quick`.
        measure: A row's entry in the results file; its task has a `name`.
        line: The figures of a row's summary, on the terminal.
    """

    name: str
    about: str | None
    tasks: Sequence[Any]
    quick: Sequence[Any]
    measure: Callable[[Any, Setting], Row]
    line: Callable[[Row], str]


@dataclass
class Everybody:
    """Contenders of a row, entered one by one, each held against the first.

    Args:
        setting: How they are measured.
        check: AssertionError where a contender's draws are wrong; returns what is said of them.

    Attributes:
        entries: Who was entered, genfast first.
        facts: What `check` said of each, by name.
        left_out: Who was not, and why.
    """

    setting: Setting
    check: Callable[[Contender, Any], Row]
    entries: list[Entry] = field(default_factory=list)
    facts: dict[str, Row] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def enter(self, name: str, make: Callable[[], Contender]) -> None:
        """Makes, checks and screens one; only the first may raise."""
        try:
            contender = make()
            timed = gpu.clock(self.setting.device)
            entry = enter(contender, self.setting.effort, timed)
            self.facts[contender.key] = self.check(contender, entry.made)
        except Exception as error:  # of whatever engine
            if not self.entries:
                raise
            self.left_out[name] = f"{type(error).__name__}: {str(error).strip()[:300]}"
            return
        self.entries.append(entry)

    def described(self) -> dict[str, Row]:
        """What the results file says of those that were entered."""
        return {e.contender.key: e.described() | self.facts[e.contender.key] for e in self.entries}


def run(bench: Bench) -> None:
    """Measures the rows that the command line asks for, as long as the budget lasts."""
    options = _arguments(bench)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU that PyTorch can use: nothing was measured")
        sys.exit(NO_GPU)
    gpu.exact_products()
    results = measured(bench, setting(options), options)
    if any("failed" in row or "failed_later" in row for row in results["rows"].values()):
        sys.exit(FAILED)


def setting(options: argparse.Namespace) -> Setting:
    """What the options say of every row."""
    effort = Effort(0.01, 3, 0.1) if options.quick else Effort(options.seconds, options.rounds, 2.0)
    device = torch.device(options.device)
    return Setting(device, options.side or device.type, effort, not options.no_compile)


def measured(bench: Bench, setting: Setting, options: argparse.Namespace) -> Row:
    """The results, saved after every row; rows that the budget left out are named."""
    tasks = [t for t in (bench.quick if options.quick else bench.tasks) if options.rows in t.name]
    results: Row = {"bench": bench.name, "machine": gpu.facts(setting.device), "rows": {}}
    if options.resume and options.out.exists():
        results["rows"] = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
    began, not_reached = time.monotonic(), []
    for task in tasks:
        if _known(results["rows"].get(task.name), setting):
            continue
        if time.monotonic() - began > options.budget:
            not_reached.append(task.name)
            continue
        row = _row(bench, task, setting)
        said = f"FAILED: {row['failed']}" if "failed" in row else bench.line(row["summary"])
        print(f"{task.name:34} {said}  [{row['seconds']:.0f} s]", flush=True)
        results["rows"][task.name] = _kept(results["rows"].get(task.name), row)
        save(options.out, results)
    results["not_reached"] = not_reached
    save(options.out, results)
    if not_reached:
        print(f"not reached in {options.budget:.0f} s: {', '.join(not_reached)}", flush=True)
    return results


def _known(row: Row | None, setting: Setting) -> bool:
    """Whether a row needs no other measurement: one without torch.compile is not the last word."""
    return row is not None and "failed" not in row and row["compiled"] >= setting.compiled


def _row(bench: Bench, task: Any, setting: Setting) -> Row:
    torch.compiler.reset()  # of the row before, whose code counts against a limit
    gc.collect()  # its graphs, with their memory
    torch.cuda.empty_cache()
    begin = time.monotonic()
    try:
        row = bench.measure(task, setting)
    except Exception as error:  # the rows behind are measured all the same
        row = {"task": described(task), "failed": f"{type(error).__name__}: {error}"}
    return row | {"compiled": setting.compiled, "seconds": round(time.monotonic() - begin, 1)}


def _kept(before: Row | None, row: Row) -> Row:
    """The new row; where it failed after one that did not, that one, which says so."""
    if before is None or "failed" in before or "failed" not in row:
        return row
    return before | {"failed_later": row["failed"]}


def described(task: Any) -> Row:
    """The fields of a task, those of a task in it beside them."""
    found: Row = {}
    for name, value in vars(task).items():
        found |= vars(value) if hasattr(value, "__dataclass_fields__") else {name: value}
    return found


def _arguments(bench: Bench) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=bench.about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few small rows, short measurements")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--resume", action="store_true", help="keep the rows already in the file")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each finalist")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one measurement")
    parser.add_argument("--budget", type=float, default=3600.0, help="no row begins after so long")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--device", default="cuda", help="cpu: for tests, rivals draw there")
    parser.add_argument("--side", choices=("cuda", "simulated", "cpu"), help="who is genfast")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{bench.name}.json")
    return parser.parse_args()
