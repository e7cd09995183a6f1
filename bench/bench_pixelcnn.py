"""What does a batch of images cost, in forward passes of the same batch?

The yardstick is the fastest PyTorch forward: eager or compiled, NCHW or channels_last, masks
applied once, dead rows cropped or not, inference mode. Against it stand the compiled draw; naive
drawing, which reruns the network for every pixel (a few are made, the time is scaled); a cached
drawer written in PyTorch as well as it can be; and the exported sampler in ONNX Runtime. All that
draw images draw the same ones, from the same uniforms. Rows of growing sides, of one image, have
the core and the forward pass alone: they ask for the time of a pixel, and for scratch.

    PYTHONPATH=python python -m bench.bench_pixelcnn            all rows
    PYTHONPATH=python python -m bench.bench_pixelcnn --quick    one small row of each variant
    ... --rows 'masked 32'                                      rows whose name has this in it
    ... --resume                                                keeps the rows in the file
    ... --compile                                               measures nothing: torch compiles
                                                                what it then finds on disk

Wants a quiet machine. A row is in the file as soon as it is measured.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.harness import save
from bench.image_race import Effort
from bench.image_rows import Field, Row, measure_row
from bench.image_task import BATCHES, ImageTask

RESULTS = Path(__file__).parent / "results" / "pixelcnn.json"
VARIANTS, WIDTHS = ("masked", "gated"), (16, 32, 64, 128)
GREY = [ImageTask(v, w, 1, 28, n) for v, w, n in product(VARIANTS, WIDTHS, BATCHES)]
RGB = [ImageTask(v, w, 3, 32, n) for v, w, n in product(VARIANTS, WIDTHS, BATCHES)]
SIDES = [
    ImageTask(variant, width, 1, side, 1)
    for (variant, width), side in product((("masked", 64), ("gated", 32)), (8, 16, 32, 64, 128))
]
TASKS = (*GREY, *RGB, *SIDES)
QUICK = (*(ImageTask(v, 16, 1, 8, 2, depth=2) for v in VARIANTS), ImageTask("masked", 16, 1, 4, 1))
EFFORT, QUICK_EFFORT = Effort(), Effort(0.01, 2, 0.1)


def entrants(task: ImageTask, quick: bool, before: dict[str, Row]) -> Field:
    """Who takes part in a row: of one that asks for the time of a pixel and scratch, few."""
    rivals = task in GREY or task in RGB or task in QUICK[:-1]
    if quick:
        # Two threads that have no two cores take a hundred times as long: no test waits for that.
        return Field(task, QUICK_EFFORT, rivals, (1,), before)
    return Field(task, EFFORT, rivals, before=before)


def line(s: Row) -> str:
    """One row on the terminal."""
    rivals = [
        f"{name} {s[f'{name}_ratio']:.1f}x"
        for name in ("naive", "cached", "exported")
        if f"{name}_ratio" in s
    ]
    return (
        f"{s['ms']:9.2f} ms, {s['threads']} threads = {s['forwards']:.2f} forwards "
        f"({s['forward_ms']:.2f} ms, {s['forward_form']}), {s['share_of_peak']:.0%} of peak, "
        f"{s['us_per_pixel']:.2f} us a pixel, {s['scratch_bytes']:,} bytes; {', '.join(rivals)}"
    )


def measured(tasks: list[ImageTask], options: argparse.Namespace) -> None:
    """Measures rows that the file lacks; each is saved at once, in the order of all rows."""
    results: dict[str, Any] = {"bench": "pixelcnn", "machine": machine.facts(), "rows": {}}
    if options.resume and options.out.exists():
        results["rows"] = json.loads(options.out.read_text(encoding="utf-8"))["rows"]
    for task in tasks:
        rows = results["rows"]
        if task.name in rows:
            continue
        begin = time.perf_counter()
        rows[task.name] = row = measure_row(entrants(task, options.quick, rows))
        row["seconds"] = round(time.perf_counter() - begin, 1)
        order = [t.name for t in (*TASKS, *QUICK)]
        results["rows"] = dict(sorted(rows.items(), key=lambda named: order.index(named[0])))
        save(options.out, results)
        print(f"{task.name:34} {line(row['summary'])}  [{row['seconds']:.0f} s]", flush=True)


def only_compiled(tasks: list[ImageTask], options: argparse.Namespace) -> None:
    """Runs everybody once, so that what torch compiles lies on disk."""
    for task in tasks:
        begin, threads = time.perf_counter(), torch.get_num_threads()
        entrants(task, options.quick, {}).enter_all()
        torch.set_num_threads(threads)
        print(f"{task.name:34} compiled  [{time.perf_counter() - begin:.0f} s]", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small rows, short measurements")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--resume", action="store_true", help="keep the rows already in the file")
    parser.add_argument("--compile", action="store_true", help="compile only, for a later run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    # Code that torch gave up to compile anew would be timed as compiled.
    torch._dynamo.config.fail_on_recompile_limit_hit = True  # type: ignore[attr-defined]
    every = QUICK if options.quick else TASKS
    tasks = [task for task in every if options.rows in task.name]
    if options.compile:
        only_compiled(tasks, options)
    else:
        measured(tasks, options)


if __name__ == "__main__":
    main()
