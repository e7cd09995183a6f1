"""What does a batch of images cost, in forward passes of the same batch?

The yardstick is the fastest PyTorch forward: eager or compiled, NCHW or channels_last, masks
applied once, inference mode, all threads. Against it stand the compiled draw; naive drawing, which
reruns the network for every pixel (a few are made, the time is scaled); a cached drawer written in
PyTorch as well as it can be; and the exported sampler in ONNX Runtime. All that draw whole images
draw the same ones, from the same uniforms.

    PYTHONPATH=python python -m bench.bench_pixelcnn            all rows
    PYTHONPATH=python python -m bench.bench_pixelcnn --quick    one small row of each variant
    ... --rows 'masked 32'                                      rows whose name has this in it
    ... --resume                                                keeps the rows in the file

Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.harness import save, spread
from bench.image_contenders import contenders
from bench.image_task import CACHED, EXPORTED, FORWARD, NAIVE, OURS, Contender, ImageTask
from genfast._extension import core
from genfast.compiled import compiled
from genfast.demo.timing import settle

RESULTS = Path(__file__).parent / "results" / "pixelcnn.json"
THREADS = (1, 2)
VARIANTS, WIDTHS, BATCHES = ("masked", "gated"), (16, 32, 64, 128), (1, 16, 64)
GREY = [ImageTask(v, w, 1, 28, n) for v, w, n in product(VARIANTS, WIDTHS, BATCHES)]
RGB = [ImageTask(v, w, 3, 32, n) for v, w, n in product(VARIANTS, (32, 64), BATCHES)]
SIDES = [ImageTask("masked", 64, 1, side, 1) for side in (8, 16, 32, 64, 128)]
TASKS = (*GREY, *RGB, *SIDES)
QUICK = tuple(ImageTask(variant, 16, 1, 8, 2) for variant in VARIANTS)

#: Longest of all measurements of one contender in a row, and most of them.
SECONDS, ROUNDS = 4.0, 5
#: Images that may differ: one draw in 10^5 or so lies within rounding of an edge.
MOST_DIFFERING = 0.1


@dataclass
class Timed:
    """A contender, its seconds for a whole draw so far, and how many images differ from ours."""

    contender: Contender
    seconds: list[float] = field(default_factory=list)
    differing: int = 0

    def measure(self) -> None:
        """One measurement."""
        self.contender.prepare()
        settle()
        begin = time.perf_counter()
        self.contender.run()
        self.seconds.append((time.perf_counter() - begin) * self.contender.scale)

    @property
    def done(self) -> bool:
        """Whether it was measured often or long enough."""
        spent = sum(self.seconds) / self.contender.scale
        return len(self.seconds) >= ROUNDS or (len(self.seconds) > 1 and spent > SECONDS)


def measure_row(task: ImageTask) -> dict[str, Any]:
    """Holds all images against ours, then times everybody in turns."""
    before = torch.get_num_threads()
    try:
        timed = [_entered(contender) for contender in contenders(task, THREADS)]
        _check(task, timed)
        peaks: dict[int, list[float]] = {count: [] for count in THREADS}
        for _ in range(ROUNDS):
            for entry in timed:
                if not entry.done:
                    entry.measure()
            for count, values in peaks.items():
                settle()
                values.append(float(core.fma_peak(core.default_isa(), count, 0.03)))
    finally:
        torch.set_num_threads(before)
    found = {entry.contender.key: _described(entry) for entry in timed}
    return {"task": vars(task), "contenders": found, "summary": summary(task, found, peaks)}


_DRAWN: dict[int, Any] = {}


def _entered(contender: Contender) -> Timed:
    """Warmed up, and its images kept for the check."""
    contender.prepare()
    entry = Timed(contender)
    for _ in range(2 if contender.kind != NAIVE else 1):
        drawn = contender.run()
    _DRAWN[id(entry)] = drawn
    return entry


def _check(task: ImageTask, timed: list[Timed]) -> None:
    """AssertionError where a contender draws other images than the core."""
    ours = _DRAWN[id(timed[0])]
    for entry in timed:
        drawn = _DRAWN.pop(id(entry))
        if drawn is None:
            continue
        entry.differing = int((drawn != ours).flatten(1).any(1).sum())
        allowed = max(1, round(MOST_DIFFERING * task.batch))
        assert entry.differing <= allowed, f"{task.name}: {entry.contender.key} draws otherwise"


def _described(entry: Timed) -> dict[str, Any]:
    facts = {name: getattr(entry.contender, name) for name in ("kind", "form", "threads")}
    return {**facts, "ms": spread(entry.seconds, 1e3), "differing": entry.differing}


def summary(
    task: ImageTask, found: dict[str, Any], peaks: dict[int, list[float]]
) -> dict[str, Any]:
    """Times in forward passes, and the core's share of the multiply-add peak."""
    best = {
        kind: min((c for c in found.values() if c["kind"] == kind), key=lambda c: c["ms"]["median"])
        for kind in (FORWARD, OURS, NAIVE, CACHED, EXPORTED)
    }
    ms = {kind: entry["ms"]["median"] for kind, entry in best.items()}
    kept = compiled(task.model())
    work = kept.program.multiply_adds * task.side * task.side * task.batch
    peak = statistics.median(peaks[best[OURS]["threads"]])
    return {
        "ms": ms[OURS],
        "threads": best[OURS]["threads"],
        "forward_ms": ms[FORWARD],
        "forward_form": best[FORWARD]["form"],
        "forwards": round(ms[OURS] / ms[FORWARD], 3),
        "naive_ratio": round(ms[NAIVE] / ms[OURS], 1),
        "cached_ratio": round(ms[CACHED] / ms[OURS], 2),
        "exported_ratio": round(ms[EXPORTED] / ms[OURS], 2),
        "us_per_pixel": round(1e3 * ms[OURS] / (task.side * task.side), 3),
        "share_of_peak": round(work / (ms[OURS] * 1e-3) / peak, 3),
        "scratch_bytes": int(core.Session(kept.executor, task.batch).scratch_bytes),
    }


def line(s: dict[str, Any]) -> str:
    """One row on the terminal."""
    return (
        f"{s['ms']:9.2f} ms, {s['threads']} threads = {s['forwards']:.2f} forwards "
        f"({s['forward_ms']:.2f} ms, {s['forward_form']}), {s['share_of_peak']:.0%} of peak; naive "
        f"{s['naive_ratio']:.0f}x, cached {s['cached_ratio']:.1f}x, exported "
        f"{s['exported_ratio']:.1f}x"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two small rows")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--resume", action="store_true", help="keep the rows already in the file")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    tasks = QUICK if options.quick else TASKS
    results: dict[str, Any] = {"bench": "pixelcnn", "machine": machine.facts(), "rows": {}}
    if options.resume and options.out.exists():
        results["rows"] = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
    for task in tasks:
        if task.name in results["rows"] or options.rows not in task.name:
            continue
        begin = time.perf_counter()
        results["rows"][task.name] = row = measure_row(task)
        save(options.out, results)
        passed = time.perf_counter() - begin
        print(f"{task.name:34} {line(row['summary'])}  [{passed:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
