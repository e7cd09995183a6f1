"""Which form of a masked convolution trains fastest?

One layer of PixelCNN, as many channels in as out, on 32 images of 28x28: forward, and backward to
input, weight and bias, on two threads in float32. Forms are those of `bench.conv_forms`, each in
NCHW and in channels_last, the operator among them; the fastest plain one compiled; and the layer of
genfast, which is to be the fastest of all. Input and gradient come in the form's own memory format,
as they do in a stack of such layers. Outputs and all gradients are proved equal to the usual form's
in float64 before anybody is timed.

All are timed in turns in one process: a round is the fastest step of each within some time, warmed
up, with all threads. A ratio is of two times of the same round; its median, lowest and highest of
all rounds are written down. There the heap stays large, because some form needs much;
alone in a process the usual form gets fresh memory from the system at every step, and pays for it.
So the usual form and genfast's layer are timed once more, each alone: `alone_us`.

    PYTHONPATH=python python -m bench.bench_masked_conv            all rows, some 15 minutes
    PYTHONPATH=python python -m bench.bench_masked_conv --quick    one small row
    ... --rows '64 channels, 3x3'                                  rows whose name has this in it

Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.conv_forms import FORMS, OPERATOR
from bench.conv_steps import OURS, Step, Task, check, layer_form, steps
from bench.harness import save, spread
from genfast._extension import core
from genfast.demo.timing import settle

RESULTS = Path(__file__).parent / "results" / "masked_conv.json"
USUAL = "usual, nchw"
TASKS = tuple(Task(*row) for row in product((16, 32, 64, 128), (3, 7), ("A", "B")))
QUICK = (Task(16, 3, "B", batch=4, side=9),)


def compiled(task: Task, name: str) -> dict[str, Step]:
    """The named contender through torch.compile."""
    torch.compiler.reset()
    form, _, layout = name.partition(", ")
    step = Step(task, torch.compile(FORMS[form][0], dynamic=False), layout == "channels_last")
    return {f"{name}, compiled": step}


def race(contenders: dict[str, Step], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of the fastest step of each round, by name; all take turns."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, step in contenders.items():
            settle()
            times[name].append(fastest(step, seconds))
    return times


def fastest(step: Callable[[], Any], seconds: float) -> float:
    """Seconds of the fastest call, of as many as fit into `seconds`, after two more."""
    step()
    step()
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - begin)
    return best


def measure_row(task: Task, rounds: int, seconds: float, compile_best: bool) -> dict[str, Any]:
    """Proves everybody equal, times them, and returns the row for the results file."""
    contenders = steps(task)
    exact = Step(task, FORMS["usual"][0], False, torch.float64)()
    errors = check(task, contenders, exact)
    if compile_best:
        times = race({n: s for n, s in contenders.items() if is_plain(n)}, 1, seconds)
        added = compiled(task, min(times, key=lambda name: times[name][0]))
        errors |= check(task, added, exact)
        contenders |= added
    timed = race(contenders, rounds, seconds)
    peak = core.fma_peak(core.default_isa(), torch.get_num_threads(), seconds)
    row: dict[str, Any] = {"task": vars(task), "fma_peak": peak}
    row["contenders"] = {
        name: {"us": spread(values, 1e6), "error": errors[name]} for name, values in timed.items()
    }
    for name in (USUAL, OURS):
        row["contenders"][name]["alone"] = alone(task, name)
    for name, values in timed.items():
        row["contenders"][name]["ratio"] = side_by_side(timed[USUAL], values)
    best = best_plain(row)
    row["best_plain"] = {"name": best, "over_ours": side_by_side(timed[best], timed[OURS])}
    return row | {"summary": summary(task, row)}


def is_plain(name: str) -> bool:
    """Whether a contender is plain PyTorch."""
    return name != OURS and not name.startswith(OPERATOR)


def side_by_side(numerators: list[float], denominators: list[float]) -> dict[str, float]:
    """The spread of one contender's times over another's, round by round."""
    return spread([a / b for a, b in zip(numerators, denominators, strict=True)])


def best_plain(row: dict[str, Any]) -> str:
    """The plain contender of the lowest median."""
    plain = (name for name in row["contenders"] if is_plain(name))
    return min(plain, key=lambda name: float(row["contenders"][name]["us"]["median"]))


def summary(task: Task, row: dict[str, Any]) -> dict[str, Any]:
    """Medians, and ratios against the usual form: of genfast, and of the best plain form."""
    us = {name: c["us"]["median"] for name, c in row["contenders"].items()}
    best = row["best_plain"]["name"]
    lonely = {name: row["contenders"][name]["alone"]["us"]["median"] for name in (USUAL, OURS)}
    fastest_us = row["contenders"][OURS]["us"]["low"]
    return {
        "us": us[OURS],
        "usual_us": us[USUAL],
        "ratio": round(row["contenders"][OURS]["ratio"]["median"], 3),
        "best": best,
        "best_us": us[best],
        "best_ratio": round(row["contenders"][best]["ratio"]["median"], 3),
        "lead": round(row["best_plain"]["over_ours"]["median"], 3),
        "alone_ratio": round(lonely[USUAL] / lonely[OURS], 3),
        "share_of_peak": round(1e6 * task.multiply_adds / row["fma_peak"] / fastest_us, 3),
    }


def alone(task: Task, name: str) -> dict[str, Any]:
    """The time and page faults of a step in a process of its own."""
    command = [sys.executable, "-m", "bench.bench_masked_conv", "--alone", json.dumps(vars(task))]
    command += ["--form", name, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure_alone(task: Task, name: str) -> dict[str, Any]:
    """What `alone` asks for, in the process that was made for it."""
    form = layer_form(task) if name == OURS else FORMS["usual"][0]
    step = Step(task, form, nhwc=name == OURS)
    times = [fastest(step, 0.2) for _ in range(3)]
    before = _faults()
    for _ in range(8):
        step()
    return {"us": spread(times, 1e6), "page_faults": (_faults() - before) // 8}


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def main() -> None:
    options = _arguments()
    torch.set_num_threads(options.threads)
    if options.alone:
        print(json.dumps(measure_alone(Task(**json.loads(options.alone)), options.form)))
        return
    rounds, seconds = (2, 0.01) if options.quick else (options.rounds, options.seconds)
    tasks = [t for t in (QUICK if options.quick else TASKS) if options.rows in t.name]
    results: dict[str, Any] = {"bench": "masked_conv", "machine": machine.facts(), "rows": {}}
    for task in tasks:
        row = measure_row(task, rounds, seconds, compile_best=not options.quick)
        results["rows"][task.name] = row
        save(options.out, results)
        print(_line(task, row), flush=True)


def _line(task: Task, row: dict[str, Any]) -> str:
    s = row["summary"]
    return (
        f"{task.name:20} {s['us'] / 1e3:8.2f} ms, {s['ratio']:.2f}x the usual form "
        f"({s['alone_ratio']:.2f}x alone), {s['share_of_peak']:.0%} of the peak; "
        f"best plain form: {s['best']}, {s['best_ratio']:.2f}x"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small row, nothing compiled")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each form")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of one measurement")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--form", default=USUAL, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
