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

from collections.abc import Iterator
from itertools import product

from bench import genfast_side, rivals_onnx, rivals_torch
from bench.harness import OURS, Contender
from bench.rows import (
    BATCHES,
    THREADS,
    Excuses,
    Question,
    Row,
    against_machine,
    against_rivals,
    fastest,
)
from bench.runner import Bench, rivals_line, run
from bench.task import Array, Task, Weights, make_uniforms

TASKS = tuple(Task(*row) for row in product(("lstm", "gru"), (128, 512, 1024), (1, 2), BATCHES))
QUICK = tuple(Task(cell, 128, 1, 1) for cell in ("lstm", "gru"))
MAX_DRAWS = 65536


def uniforms(task: Task) -> Array:
    """As many as fit into a measurement."""
    return make_uniforms(task, max(16, MAX_DRAWS // task.batch))


def contenders(task: Task, weights: Weights, excuses: Excuses) -> Iterator[Contender]:
    """Ours first, then every rival; compiled ones, which take long to make, may be excused."""
    rivals_torch.forget()
    yield from genfast_side.contenders(task, weights, THREADS)
    for rivals in (rivals_onnx, rivals_torch):
        for (kind, engine, form), threads in product(rivals.offers(task), THREADS):
            key = f"{kind} | {engine} | {form} | {threads}"
            if engine != "torch.compile" or not excuses.grants(key):
                yield rivals.build(task, weights, kind, engine, form, threads)


def summary(task: Task, row: Row) -> Row:
    """Ratios, floor and share of the peak, ours at its faster number of threads."""
    ours = fastest(row["contenders"], OURS)
    us, threads = ours["us"]["median"], ours["threads"]
    found: Row = {"us": us, "threads": threads, "engine": ours["engine"]}
    return found | against_rivals(row, us) | against_machine(task, row, us, threads)


def line(s: Row) -> str:
    """One row on the terminal."""
    return (
        f"{s['us']:9.2f} us, {s['threads']} threads, {s['share_of_peak']:.0%} of the "
        f"peak, floor {s['floor_us']:.2f}  {rivals_line(s)}"
    )


QUESTION = Question(uniforms, contenders, summary)


if __name__ == "__main__":
    run(Bench("recurrent", __doc__, QUESTION, TASKS, QUICK, line))
