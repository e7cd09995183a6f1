"""How fast are latents drawn from means and log-variances, with the gradients behind them?

genfast's operator beside the usual lines in PyTorch, eager and compiled: z = mean + exp(logvar / 2)
* noise, and the divergence of each row from N(0, 1); forward, and forward with the gradients by
both inputs. genfast draws under another seed at every call, as training does. Everybody is timed
on one thread and on two, in turns in one process; a rival counts at its better number of threads.
Before, genfast's results are proved equal to the plain form's in float64, of the same noise.

The floor is the bytes that must move (forward two numbers read, one written; back three read, two
written) over the bandwidth of c = a + b in the same run, on arrays as large, with as many threads.

    PYTHONPATH=python python -m bench.bench_reparameterize            all rows, some ten minutes
    PYTHONPATH=python python -m bench.bench_reparameterize --quick    one small row
    ... --rows 65536x64                                               rows that have this in it

Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.harness import save, spread
from bench.latent_steps import COMPILED, EAGER, OURS, Step, Task, check, steps
from genfast._extension import core
from genfast.demo.timing import settle

RESULTS = Path(__file__).parent / "results" / "reparameterize.json"
SIZES = ((64, 16), (256, 32), (1024, 64), (4096, 64), (65536, 64), (65536, 256))
TASKS = (
    *(Task(*size) for size in SIZES),
    Task(1024, 64, "bfloat16"),
    Task(65536, 64, "bfloat16"),
)
QUICK = (Task(64, 16),)
MODES = {"forward": False, "with_backward": True}


def measure_row(task: Task, rounds: int, seconds: float, threads: int, compiled: bool) -> Any:
    """Proves both sides equal, times everybody, and returns the row for the results file."""
    row: dict[str, Any] = {"task": vars(task), "summary": {}}
    for mode, backward in MODES.items():
        error = check(task, backward)
        torch.compiler.reset()
        timed, bandwidths = race(task, steps(task, backward, threads, compiled), rounds, seconds)
        us = {name: spread(values, 1e6) for name, values in timed.items()}
        row[mode] = {
            "error": error,
            "us": us,
            "bandwidth": {count: spread(values) for count, values in bandwidths.items()},
        }
        row["summary"][mode] = summary(task, backward, timed, bandwidths)
    return row


def race(
    task: Task, contenders: dict[str, Step], rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[int, list[float]]]:
    """Seconds of each contender and bytes a second by threads, round by round; all take turns."""
    timed: dict[str, list[float]] = {name: [] for name in contenders}
    bandwidths: dict[int, list[float]] = {1: [], 2: []}
    size = 3 * 4 * task.batch * task.latent
    for _ in range(rounds):
        for name, step in contenders.items():
            step.select()
            settle()
            timed[name].append(typical(step, seconds))
        for count, values in bandwidths.items():
            settle()
            values.append(core.add_bandwidth(size // count, count, seconds))
    return timed, bandwidths


def typical(step: Callable[[], Any], seconds: float) -> float:
    """Seconds of the middle call, of as many as fit into `seconds`, after three more."""
    for _ in range(3):
        step()
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def summary(
    task: Task,
    backward: bool,
    timed: dict[str, list[float]],
    bandwidths: dict[int, list[float]],
) -> dict[str, Any]:
    """Ours on all threads, or on one where that is faster, beside each rival at its better one."""
    found: dict[str, Any] = {}
    ours = timed[best(timed, OURS)]
    count = int(best(timed, OURS).split(", ")[1].split()[0])
    for rival in (EAGER, COMPILED):
        if any(name.startswith(rival) for name in timed):
            theirs = timed[best(timed, rival)]
            ratio = spread([b / a for a, b in zip(ours, theirs, strict=True)])
            us = spread(theirs, 1e6)["median"]
            found[rival] = {"us": us, "ratio": round(ratio["median"], 3), "low": ratio["low"]}
    us = spread(ours, 1e6)["median"]
    floor = 1e6 * task.bytes(backward) / spread(bandwidths[count])["median"]
    found |= {"us": us, "threads": count, "floor_us": round(floor, 3)}
    return found | {"share_of_floor": round(floor / us, 3)}


def best(timed: dict[str, list[float]], who: str) -> str:
    """The name of a contender at its better number of threads."""
    names = [name for name in timed if name.startswith(who)]
    return min(names, key=lambda name: spread(timed[name], 1e6)["median"])


def main() -> None:
    options = _arguments()
    rounds, seconds = (2, 0.01) if options.quick else (options.rounds, options.seconds)
    tasks = [t for t in (QUICK if options.quick else TASKS) if options.rows in t.name]
    results: dict[str, Any] = {"bench": "reparameterize", "machine": machine.facts(), "rows": {}}
    for task in tasks:
        row = measure_row(task, rounds, seconds, options.threads, compiled=not options.quick)
        results["rows"][task.name] = row
        save(options.out, results)
        print(_line(task, row), flush=True)


def _line(task: Task, row: dict[str, Any]) -> str:
    parts = []
    for mode, s in row["summary"].items():
        rivals = ", ".join(f"{r} {s[r]['ratio']:.2f}x" for r in (EAGER, COMPILED) if r in s)
        share = f"{s['share_of_floor']:.0%} of the floor"
        parts.append(f"{mode} {s['us']:9.1f} us ({rivals}; {share})")
    return f"{task.name:22} {'; '.join(parts)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small row, nothing compiled")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each contender")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of one measurement")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
