"""How fast are latents drawn from means and log-variances on a GPU, with the gradients behind them?

genfast's operator, under another seed at every call, beside the usual lines in PyTorch: eager,
compiled, and each as a CUDA graph; forward, and forward with the gradients by both inputs. Before,
genfast's results are proved equal to the plain form's in float64, of the same noise. The floor is
the bytes that must move over the bandwidth of a copy of as many in the same run.

    python -m bench.bench_gpu_reparameterize            all rows
    python -m bench.bench_gpu_reparameterize --quick    one small row
    ... --device cpu --quick --no-compile               on the processor; nothing of a GPU
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from bench import gpu
from bench.bench_reparameterize import MODES
from bench.gpu_runner import Bench, Everybody, Row, Setting, described, run
from bench.image_race import fastest, finalists, race
from bench.image_task import OURS, Contender
from bench.latent_steps import COMPILED, EAGER, Ours, Step, Task, check, plain

SIZES = ((65536, 64), (1024, 64), (256, 32), (65536, 256), (1048576, 64))
TASKS = [Task(*size, dtype) for dtype in ("float32", "bfloat16") for size in SIZES]
QUICK = [Task(64, 16)]


def measure(task: Task, setting: Setting) -> Row:
    """Both modes of a row."""
    row: Row = {"task": described(task), "left_out": {}, "summary": {}}
    for mode, backward in MODES.items():
        found = _mode(task, backward, setting)
        row["left_out"] |= {f"{mode} | {k}": v for k, v in found.pop("left_out").items()}
        row["summary"][mode] = found.pop("summary")
        row[mode] = found
    return row


def _mode(task: Task, backward: bool, setting: Setting) -> Row:
    error = check(task, backward, setting.device)
    everybody = Everybody(setting, lambda contender, made: {})
    for kind, form, graph in _offers(setting.compiled):
        name = f"{kind}, a graph" if graph else kind
        everybody.enter(
            name, lambda k=kind, f=form, g=graph: _made(task, backward, setting, k, f, g)
        )
    race(finalists(everybody.entries), (), setting.effort)
    bandwidth = gpu.copy_bandwidth(task.bytes(backward), setting.device)
    return {
        "error": error,
        "contenders": everybody.described(),
        "left_out": everybody.left_out,
        "copy_bandwidth": bandwidth,
        "summary": summary(task, backward, everybody, bandwidth["median"]),
    }


def _offers(compiled: bool) -> list[tuple[str, Callable[..., Any], bool]]:
    """(kind, form, whether captured): ours first; its seed is another one at every call."""
    found: list[tuple[str, Callable[..., Any], bool]] = [(OURS, Ours(), False)]
    found += [(EAGER, plain, graph) for graph in (False, True)]
    if compiled:
        form = torch.compile(plain, dynamic=False)
        found += [(COMPILED, form, graph) for graph in (False, True)]
    return found


def _made(
    task: Task, backward: bool, setting: Setting, kind: str, form: Any, graph: bool
) -> Contender:
    step = Step(task, form, 1, backward, setting.device)
    call = gpu.captured(step, setting.device) if graph else step
    return Contender(kind, "a graph" if graph else "called", 1, call)


def summary(task: Task, backward: bool, everybody: Everybody, bandwidth: float) -> Row:
    """Ours beside the fastest of each rival, and its share of the floor."""
    us = {
        kind: 1e6 * statistics.median(fastest(everybody.entries, kind).seconds)
        for kind in {e.contender.kind for e in everybody.entries}
    }
    floor = 1e6 * task.bytes(backward) / bandwidth
    found: Row = {"us": round(us[OURS], 3), "floor_us": round(floor, 3)}
    for rival in (EAGER, COMPILED):
        if rival in us:
            who = fastest(everybody.entries, rival).contender.form
            ratio = round(us[rival] / us[OURS], 3)
            found[rival] = {"us": round(us[rival], 3), "ratio": ratio, "who": who}
    return found | {"share_of_floor": round(floor / us[OURS], 3)}


def line(summary: Row) -> str:
    """One row on the terminal."""
    parts = []
    for mode, s in summary.items():
        rivals = ", ".join(f"{r} {s[r]['ratio']:.2f}x" for r in (EAGER, COMPILED) if r in s)
        parts.append(f"{mode} {s['us']:.1f} us ({rivals}; {s['share_of_floor']:.0%} of the floor)")
    return ", ".join(parts)


if __name__ == "__main__":
    run(Bench("gpu-reparameterize", __doc__, TASKS, QUICK, measure, line))
