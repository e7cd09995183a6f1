"""Is the exported decoder as fast as PyTorch?

Decoders of 28x28 images: a variational autoencoder's of fully connected layers, another's of
convolutions, and the generator of a DCGAN of width 64; float32, batches of 1 to 256. PyTorch gets
its best: the bare network in inference mode, in NCHW and channels_last, on one thread and on two;
and the fastest of these forms compiled, for that very batch, its weights frozen into the code. The
exported decoder runs in ONNX Runtime as `genfast.export` wrote it, on one thread and on two.

Beside the job stand whole draws from a seed, of the exported sampler and of `model.sample`.

All were found to give the same before anybody is timed. Then they take turns in one process: a
measurement is the median of as many calls as fit into some time, warmed up; of all rounds the
median, lowest and highest are written down. A ratio is of medians, each at its better number of
threads.

    PYTHONPATH=python python -m bench.bench_decoder            all rows, some 5 minutes
    PYTHONPATH=python python -m bench.bench_decoder --quick    one small row, nothing compiled
    ... --rows 'batch 16'                                      rows whose name has this in it

Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import machine
from bench.decoder_sides import (
    COMPILED,
    EAGER,
    EXPORTED,
    MODELS,
    SAMPLE,
    SEEDED,
    Contender,
    Side,
    Task,
    compiled,
    contenders,
)
from bench.harness import save, spread
from genfast._extension import core
from genfast.demo.timing import settle

RESULTS = Path(__file__).parent / "results" / "decoder.json"
TASKS = tuple(Task(*row) for row in product(MODELS, (1, 4, 16, 64, 256)))
QUICK = (TASKS[0],)
#: Largest difference between two contenders' outputs.
CLOSE = 1e-4
#: Within this much of the fastest of its kind at first sight, a contender races.
MARGIN = 1.5


def measure_row(side: Side, task: Task, rounds: int, seconds: float, also_compiled: bool) -> Any:
    """Proves everybody equal, times them, and returns the row for the results file."""
    entered = list(contenders(side, task.batch))
    first = race(entered, 1, seconds / 2)
    if also_compiled:
        best = min((c for c in entered if c.kind == EAGER), key=lambda c: first[c.key][0])
        entered.append(compiled(side, task.batch, best.form, best.threads))
        first |= race(entered[-1:], 1, seconds / 2)
    errors = check(entered)
    racing = finalists(entered, first)
    timed = first | race(racing, rounds, seconds)
    peak = core.fma_peak(core.default_isa(), 2, seconds)
    row: dict[str, Any] = {"task": vars(task), "fma_peak": peak, "contenders": {}}
    for contender in entered:
        facts = {name: getattr(contender, name) for name in ("kind", "form", "threads")}
        row["contenders"][contender.key] = {
            **facts,
            "us": spread(timed[contender.key], 1e6),
            "error": errors[contender.key],
        }
    return row | {"summary": summary(side, task, row)}


def check(entered: Iterable[Contender]) -> dict[str, float]:
    """The largest difference of each contender's output from the plain eager one's.

    Raises:
        AssertionError: Somebody gives something else.
    """
    outputs = {contender.key: _output(contender) for contender in entered}
    wanted = next(output for key, output in outputs.items() if key.startswith(f"{EAGER} |"))
    errors = {key: float(np.abs(output - wanted).max()) for key, output in outputs.items()}
    for key, error in errors.items():
        assert error <= CLOSE, f"{key} is off by {error}"
    return errors


def _output(contender: Contender) -> Any:
    contender.select()
    return np.asarray(contender())


def race(entered: Iterable[Contender], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds of a call in each round, by name; all take turns."""
    entered = list(entered)
    times: dict[str, list[float]] = {contender.key: [] for contender in entered}
    for _ in range(rounds):
        for contender in entered:
            contender.select()
            settle()
            times[contender.key].append(typical(contender, seconds))
    return times


def typical(call: Callable[[], Any], seconds: float) -> float:
    """The median of the calls that fit into `seconds`, one at least, after one more."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def finalists(entered: Iterable[Contender], first: dict[str, list[float]]) -> list[Contender]:
    """Those within `MARGIN` of the fastest of their kind."""
    entered = list(entered)
    best = {c.kind: min(first[d.key][0] for d in entered if d.kind == c.kind) for c in entered}
    return [c for c in entered if first[c.key][0] <= MARGIN * best[c.kind]]


def fastest(row: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The contender of this kind with the lowest median, of those that raced; None for none."""
    found = [c for c in row["contenders"].values() if c["kind"] == kind]
    most = max((c["us"]["rounds"] for c in found), default=0)
    raced = [c for c in found if c["us"]["rounds"] == most]
    return min(raced, key=lambda c: float(c["us"]["median"]), default=None)


def summary(side: Side, task: Task, row: dict[str, Any]) -> dict[str, Any]:
    """Medians, and ratios of each kind of PyTorch over the exported decoder."""
    ours = fastest(row, EXPORTED)
    assert ours is not None
    us = ours["us"]["median"]
    found = {"us": us, "threads": ours["threads"]}
    for kind in (EAGER, COMPILED):
        rival = fastest(row, kind)
        if rival is not None:
            who = f"{rival['form']}, {rival['threads']} threads"
            ratio = round(rival["us"]["median"] / us, 3)
            found[kind] = {"us": rival["us"]["median"], "who": who, "ratio": ratio}
    seeded, sample = (fastest(row, kind) for kind in (SEEDED, SAMPLE))
    assert seeded is not None
    assert sample is not None
    found["seeded_us"], found["sample_us"] = (s["us"]["median"] for s in (seeded, sample))
    operations = task.batch * side.multiply_adds
    return found | {
        "multiply_adds": operations,
        "share_of_peak": round(1e6 * operations / row["fma_peak"] / us, 3),
    }


def main() -> None:
    options = _arguments()
    rounds, seconds = (2, 0.01) if options.quick else (options.rounds, options.seconds)
    tasks = [t for t in (QUICK if options.quick else TASKS) if options.rows in t.name]
    results: dict[str, Any] = {"bench": "decoder", "machine": machine.facts(), "rows": {}}
    threads, sides = torch.get_num_threads(), dict.fromkeys(MODELS)
    for task in tasks:
        side = sides[task.model] = sides[task.model] or Side.of(task.model)
        begin = time.perf_counter()
        row = measure_row(side, task, rounds, seconds, also_compiled=not options.quick)
        results["rows"][task.name] = row
        save(options.out, results)
        print(_line(task, row["summary"], time.perf_counter() - begin), flush=True)
    torch.set_num_threads(threads)


def _line(task: Task, s: dict[str, Any], passed: float) -> str:
    rivals = "  ".join(
        f"{s[kind]['ratio']:.2f}x {kind} ({s[kind]['us']:.0f}, {s[kind]['who']})"
        for kind in (EAGER, COMPILED)
        if kind in s
    )
    return (
        f"{task.name:32} {s['us']:9.1f} us, {s['threads']} threads, {s['share_of_peak']:.0%} of "
        f"the peak, from a seed {s['seeded_us']:.0f}, model.sample {s['sample_us']:.0f}  {rivals}  "
        f"[{passed:.0f} s]"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small row, nothing compiled")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each contender")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one measurement")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
