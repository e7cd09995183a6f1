"""Is the exported sampler as fast as the graph that a user would make by hand?

Everybody draws by ONNX Runtime, 200 sites a run (fewer where they outlast a measurement), with the
same options and weights, after all were found to draw the same. The job is one for all: uniforms
and the temperature of each row go in, symbols come out. Rivals are a Scan, a Loop and a step graph
run with IO binding, each with the recurrent operator and with Gemm, "as users write it" (embedding,
then the layers) and of the "same algebra" (the folded table); each again without a temperature,
which is less work than ours: a rival gets its best.

Beside the job stand the exported sampler as it is used, its uniforms made inside from a seed while
rivals get theirs for nothing, and the compiled core of genfast itself.

    PYTHONPATH=python python -m bench.bench_export            all rows, some 12 minutes
    PYTHONPATH=python python -m bench.bench_export --quick    one small row of each cell
    ... --rows 'lstm 1x512'                                   rows whose name has this in it
    ... --resume                                              keeps the rows in the file

Wants a quiet machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from bench import exported_side, genfast_side, rivals_onnx
from bench.exported_side import EXPORTED, SEEDED
from bench.harness import OURS, Contender
from bench.rows import (
    THREADS,
    Excuses,
    Question,
    Row,
    against_machine,
    against_rivals,
    fastest,
)
from bench.runner import Bench, rivals_line, run
from bench.task import Array, Task, Weights

SITES, BATCHES = 200, (1, 16, 64)
MODELS = ((128, 1), (128, 2), (512, 1), (512, 2), (1024, 1))
TASKS = tuple(
    Task(cell, width, depth, batch)
    for cell, (width, depth), batch in product(("lstm", "gru"), MODELS, BATCHES)
)
QUICK = tuple(Task(cell, 128, 1, 1) for cell in ("lstm", "gru"))
ENGINES = ("onnx scan", "onnx loop", "onnx step")
FORMS = (*rivals_onnx.TEMPERED_FORMS, *rivals_onnx.FORMS)


def uniforms(task: Task) -> Array:
    """Those of one draw, as the seeded sampler makes them."""
    return exported_side.uniforms(task, SITES)


def contenders(task: Task, weights: Weights, excuses: Excuses) -> Iterator[Contender]:
    """The export, the compiled core, then the hand-made graphs, of which some may be excused."""
    yield from exported_side.contenders(task, weights, THREADS)
    yield from genfast_side.contenders(task, weights, THREADS)
    offers = rivals_onnx.offers(task, ENGINES, FORMS)
    for (kind, engine, form), threads in product(offers, THREADS):
        if not excuses.grants(f"{kind} | {engine} | {form} | {threads}"):
            yield rivals_onnx.build(task, weights, kind, engine, form, threads)


def summary(task: Task, row: Row) -> Row:
    """Ratios of the exported sampler at the common job; its seeded self and the core beside it."""
    ours, seeded, core = (fastest(row["contenders"], kind) for kind in (EXPORTED, SEEDED, OURS))
    us, threads = ours["us"]["median"], ours["threads"]
    others = {"seeded_us": seeded["us"]["median"], "core_us": core["us"]["median"]}
    found: Row = {"us": us, "threads": threads, **others}
    return found | against_rivals(row, us) | against_machine(task, row, us, threads)


def line(s: Row) -> str:
    """One row on the terminal."""
    return (
        f"{s['us']:9.2f} us, {s['threads']} threads, seeded {s['seeded_us']:.2f}, "
        f"core {s['core_us']:.2f}  {rivals_line(s)}"
    )


QUESTION = Question(uniforms, contenders, summary)


if __name__ == "__main__":
    run(Bench("export", __doc__, QUESTION, TASKS, QUICK, line))
