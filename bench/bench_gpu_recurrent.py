"""What does one site of a whole draw cost on a GPU, for recurrent models?

A site is: step, readout, softmax, a categorical draw with a given uniform, and the symbol fed back;
65 symbols, temperature 1, float32 without TF32, and bfloat16. Rivals: PyTorch's cuDNN and cells,
and the same algebra with the folded table; eager, a step as one CUDA graph, and all sites as one
CUDA graph, each compiled, too; ONNX Runtime where it has a provider for CUDA. Everybody draws the
same symbols from the same uniforms first, each held against a float64 oracle of what it drew.

    python -m bench.bench_gpu_recurrent            all rows
    python -m bench.bench_gpu_recurrent --quick    two small rows
    ... --budget 100                               no row begins after 100 seconds
    ... --device cpu --quick --no-compile          rivals on the processor; nothing of a GPU
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

import genfast
from bench import gpu, gpu_onnx, gpu_side
from bench.equality import Checker
from bench.genfast_side import make_model
from bench.gpu_recurrent import Place, Rivals, offers, rival_name
from bench.gpu_runner import Bench, Everybody, Row, Setting, described, run
from bench.harness import AS_WRITTEN, SAME_ALGEBRA
from bench.image_race import fastest, finalists, race
from bench.image_task import OURS, Contender
from bench.task import Task, Weights, make_weights

WIDTHS, BATCHES = (256, 512, 1024, 2048), (1, 16, 64, 256, 1024, 4096)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
#: Sites of a draw; fewer where one takes long.
SITES, FEW_SITES, LONG_SITE = 256, 64, 10**9
#: Rows of the batch, and draws, that the oracle follows: it takes a processor's float64.
FOLLOWED, FOLLOWED_DRAWS = 64, 2048
SAMPLE = "genfast, model.sample"


@dataclass(frozen=True)
class GpuTask:
    """A row: a task of the recurrent benchmark, in a precision."""

    task: Task
    precision: str = "float32"

    @property
    def name(self) -> str:
        return f"{self.task.name} {self.precision}"

    @property
    def sites(self) -> int:
        return FEW_SITES if self.task.batch * self.task.multiply_adds > LONG_SITE else SITES

    def weights(self) -> Weights:
        """Of both precisions exact in bfloat16 where that is the precision."""
        made = make_weights(self.task)
        if self.precision == "float32":
            return made
        narrow = gpu.to_bfloat16
        layers = tuple(
            type(layer)(**{name: narrow(w) for name, w in vars(layer).items()})
            for layer in made.layers
        )
        return Weights(narrow(made.embed), layers, narrow(made.readout), narrow(made.bias))


def _tasks() -> list[GpuTask]:
    """The middle of each axis first, then all others."""
    cells, depths = ("lstm", "gru"), (1, 2)
    every = [
        GpuTask(Task(cell, width, depth, batch), precision)
        for precision, depth, cell, width, batch in product(DTYPES, depths, cells, WIDTHS, BATCHES)
    ]
    first = [t for t in every if (t.task.cell, t.task.depth, t.task.width, t.task.batch) in _FIRST]
    return first + [task for task in every if task not in first]


_FIRST = {
    ("lstm", 1, 512, 1),
    ("lstm", 1, 512, 64),
    ("lstm", 1, 1024, 1),
    ("lstm", 2, 1024, 64),
    ("gru", 1, 512, 1),
    ("lstm", 1, 2048, 4096),
}
TASKS = _tasks()
QUICK = [GpuTask(Task("lstm", 32, 2, 3, 17)), GpuTask(Task("gru", 32, 1, 2, 17), "bfloat16")]


class Judge:
    """Holds draws of (N, sites) against the oracle, and against the first contender's."""

    def __init__(self, row: GpuTask, weights: Weights, uniforms: Tensor) -> None:
        batch, sites = uniforms.shape[:2]
        self._rows = np.unique(np.linspace(0, batch - 1, min(batch, FOLLOWED)).astype(int))
        self._sites = min(sites, max(8, FOLLOWED_DRAWS // len(self._rows)))
        rounded = None if row.precision == "float32" else gpu.to_bfloat16
        followed = uniforms.cpu().numpy()[self._rows, : self._sites, 0]
        self._checker = Checker(replace(row.task, batch=batch), weights, followed, rounded)
        self._first: Tensor | None = None

    def check(self, contender: Contender, made: Tensor) -> Row:
        """AssertionError for a draw that its uniform does not explain; else what was seen."""
        drawn = made.reshape(made.shape[:2]).cpu()
        self._first = drawn if self._first is None else self._first
        seen = self._checker.check(drawn.numpy()[self._rows, : self._sites])
        alike = (drawn == self._first).all(1).double().mean().item()
        return {
            "equality": {"draws": seen["draws"], "skipped": seen["skipped"]},
            "equal_samples": round(alike, 6),
        }


def measure(row: GpuTask, setting: Setting) -> Row:
    """Proves everybody equal, times them in turns, and returns the row for the results file."""
    task, weights = row.task, row.weights()
    uniforms = genfast.random.uniforms(0, task.batch, row.sites)[..., None].to(setting.device)
    everybody = Everybody(setting, Judge(row, weights, uniforms).check)
    model = make_model(task, weights)
    made = gpu_side.executor(model, setting.side, row.precision)
    everybody.enter(OURS, lambda: gpu_side.contender(made, uniforms, images=False))
    enter_sample(everybody, row, model, setting)
    place = Place(setting.device, DTYPES[row.precision])
    rivals = Rivals(task, weights, place, uniforms)
    for form, engine, compiled in offers(task, setting.compiled):
        name = rival_name(form, engine, compiled)
        everybody.enter(name, lambda f=form, e=engine, c=compiled: rivals.make(f, e, c))
    enter_onnx(everybody, row, weights, uniforms)
    race(finalists(everybody.entries), (), setting.effort)
    return {
        "task": described(row),
        "sites": row.sites,
        "plan": gpu_side.plan(made, task.batch),
        "contenders": everybody.described(),
        "left_out": everybody.left_out,
        "summary": summary(row, everybody),
    }


def enter_sample(everybody: Everybody, row: GpuTask, model: Any, setting: Setting) -> None:
    """The public call: its arguments checked, uniforms made, and values brought back."""
    if row.precision != "float32" or setting.side == "simulated":
        everybody.left_out[SAMPLE] = "drawn in float32, and not simulated"
        return

    def draw() -> Tensor:
        drawn: Tensor = model.sample(row.task.batch, row.sites, seed=0, backend=setting.side).values
        return drawn

    everybody.enter(SAMPLE, lambda: Contender(SAMPLE, "seed 0", 1, draw))


def enter_onnx(everybody: Everybody, row: GpuTask, weights: Weights, uniforms: Tensor) -> None:
    """ONNX Runtime in float32, where it has a provider."""
    if row.precision != "float32":
        everybody.left_out["onnxruntime"] = "its graphs are float32"
        return
    for kind, form in product((AS_WRITTEN, SAME_ALGEBRA), ("operator", "gemm")):
        everybody.enter(
            f"{kind} | onnxruntime {form}",
            lambda k=kind, f=form: gpu_onnx.make(
                row.task, weights, k, f, k == SAME_ALGEBRA, uniforms
            ),
        )


def summary(row: GpuTask, everybody: Everybody) -> Row:
    """Microseconds a site of ours, and the fastest rival of each kind over it."""
    found: Row = {"us": round(_us(row, everybody, OURS)[0], 3)}
    found["equal_samples"] = min(f["equal_samples"] for f in everybody.facts.values())
    for name, kind in (
        ("as_written", AS_WRITTEN),
        ("same_algebra", SAME_ALGEBRA),
        ("sample", SAMPLE),
    ):
        if any(e.contender.kind == kind for e in everybody.entries):
            us, who = _us(row, everybody, kind)
            found[name] = {"us": round(us, 3), "who": who, "ratio": round(us / found["us"], 3)}
    terms = row.task.batch * row.task.multiply_adds
    return found | {"multiply_adds": terms, "tflops": round(2e-6 * terms / found["us"], 3)}


def _us(row: GpuTask, everybody: Everybody, kind: str) -> tuple[float, str]:
    best = fastest(everybody.entries, kind)
    return 1e6 * statistics.median(best.seconds) / row.sites, best.contender.form


def line(s: Row) -> str:
    """One row on the terminal."""
    rivals = "  ".join(
        f"{s[kind]['ratio']:.2f}x ({s[kind]['us']:.1f}, {s[kind]['who']})"
        for kind in ("as_written", "same_algebra")
        if kind in s
    )
    return f"{s['us']:9.2f} us  {rivals}  {s['equal_samples']:.2%} of samples equal"


if __name__ == "__main__":
    run(Bench("gpu-recurrent", __doc__, TASKS, QUICK, measure, line))
