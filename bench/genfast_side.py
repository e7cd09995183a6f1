"""genfast as a contender: the compiled program of a SequenceModel, arrays bound once a draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from bench.harness import OURS, Contender
from bench.task import Array, Symbols, Task, Weights
from genfast import SequenceModel, heads
from genfast._extension import core
from genfast.compiled import compiled


def make_model(task: Task, weights: Weights) -> SequenceModel:
    """A `SequenceModel` with these weights."""
    model = SequenceModel(
        heads.Categorical(task.classes), cell=task.cell, width=task.width, depth=task.depth
    )
    names = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
    arrays = {"embed.weight": weights.embed}
    arrays |= {"readout.weight": weights.readout, "readout.bias": weights.bias}
    for j, layer in enumerate(weights.layers):
        arrays |= {f"rnn.{names[k]}_l{j}": v for k, v in vars(layer).items()}
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model.eval()


def contenders(task: Task, weights: Weights, threads: tuple[int, ...]) -> list[Contender]:
    """The compiled core at each number of threads, one executor among them."""
    executor = compiled(make_model(task, weights)).executor
    return [
        Contender(OURS, f"core {executor.isa}", "program", count, _drawer(task, executor, count))
        for count in threads
    ]


def _drawer(task: Task, executor: Any, threads: int) -> Callable[[Array], Symbols]:
    session = core.Session(executor, task.batch)
    session.options(
        np.ones(task.batch, np.float32),
        np.zeros(task.batch, np.int64),
        np.ones(task.batch, np.float32),
    )
    rows = np.arange(task.batch)

    def draw(uniforms: Array) -> Symbols:
        drawn = np.empty((*uniforms.shape, 1), np.int64)
        session.reset(rows)
        session.bind(np.ascontiguousarray(uniforms)[:, :, None], drawn)
        session.advance(0, uniforms.shape[1], threads)
        return drawn[:, :, 0]

    return draw
