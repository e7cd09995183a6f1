"""genfast on a GPU as a contender: the compiled program of a model, arrays bound once.

Three executors take the same arrays: the CUDA core, the simulation of it on a host, and the CPU
core, so that tests hold rivals against a draw without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.image_task import OURS, Contender
from genfast._extension import core

#: Blocks of a simulated GPU: a whole one is slow to follow.
SIMULATED = {"cluster": 2, "blocks": 4}


def executor(model: Any, side: str, precision: str = "float32") -> Any:
    """The program of `model`, packed for a side: "cuda", "simulated" or "cpu"."""
    lowered = model.program().optimized().lower()
    if side == "cuda":
        return core.CudaExecutor(lowered, precision)
    if side == "simulated":
        return core.SimulatedExecutor(lowered, precision, **SIMULATED)
    return core.Executor(lowered)


def contender(made: Any, uniforms: Tensor, images: bool, values: int | None = None) -> Contender:
    """Draws all sites of (N, sites, draws) uniforms at every run, to (N, sites, values).

    `values` of a site are as many as its uniforms unless given.

    A sequence goes on where the run before ended, which costs what a new one costs: only the first
    run's values are those of these uniforms from the first site on. An image begins anew.
    """
    shape = (*uniforms.shape[:2], values or uniforms.shape[2])
    run, form = _drawer(made, uniforms, images, shape)
    kept: list[Tensor] = []

    def draw() -> Tensor:
        values = run()
        if not kept:
            kept.append(values.clone())
        return kept[0]

    return Contender(OURS, form, 1, draw)


def plan(made: Any, batch: int) -> dict[str, Any]:
    """What a plan says of a batch: its machines, barriers and bytes; nothing on a CPU."""
    if not hasattr(made, "plan"):
        return {}
    return {k: v for k, v in made.plan(batch).items() if k not in ("listing", "barrier_steps")}


def _drawer(
    made: Any, uniforms: Tensor, images: bool, shape: tuple[int, ...]
) -> tuple[Callable[[], Tensor], str]:
    batch, sites = uniforms.shape[:2]
    values = torch.empty(shape, dtype=torch.int64, device=uniforms.device)
    on_cpu = isinstance(made, core.Executor)

    def opened() -> Any:
        session = (core.Session if on_cpu else core.CudaSession)(made, batch)
        session.options(
            np.ones(batch, np.float32), np.zeros(batch, np.int64), np.ones(batch, np.float32)
        )
        session.bind(uniforms, values)
        return session

    session = opened()
    begin = session.state() if images and not on_cpu else None

    def draw() -> Tensor:
        nonlocal session
        if on_cpu and images:
            session = opened()
        if begin is not None:
            session.restore(begin)
        session.advance(0, sites, 1 if on_cpu else _stream(uniforms))
        return values

    name = {core.Executor: "core on the CPU", core.SimulatedExecutor: "simulated"}
    return draw, name.get(type(made), "core, CUDA")


def _stream(uniforms: Tensor) -> int:
    return torch.cuda.current_stream().cuda_stream if uniforms.is_cuda else 0
