"""The exported sampler as a contender: its graphs as `genfast.export` writes them.

Both graphs do one draw a run. The `uniforms` variant is given its numbers, as all rivals are; the
sampler itself makes them inside, from a seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import genfast
from bench.genfast_side import make_model
from bench.harness import Contender
from bench.onnx_site import open_session
from bench.task import Array, Symbols, Task, Weights

EXPORTED = "exported, uniforms given"
SEEDED = "exported, seeded"
SEED = 0


def uniforms(task: Task, sites: int) -> Array:
    """What the sampler makes inside from `SEED`: float32 (batch, sites)."""
    return genfast.random.uniforms(SEED, task.batch, sites).numpy()


def contenders(task: Task, weights: Weights, threads: tuple[int, ...]) -> Iterator[Contender]:
    """Both graphs at each number of threads."""
    for kind, graph in _graphs(task, weights).items():
        for count in threads:
            yield Contender(
                kind, "onnx export", "sampler", count, _drawer(task, graph, kind, count)
            )


def _graphs(task: Task, weights: Weights) -> dict[str, bytes]:
    """Both graphs of a model, exported, which verifies them, and read again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sampler"
        genfast.export(make_model(task, weights), path, step=False, uniforms=True)
        given = path.with_name("sampler_uniforms")
        return {
            EXPORTED: (given / "1" / "model.onnx").read_bytes(),
            SEEDED: (path / "1" / "model.onnx").read_bytes(),
        }


def _drawer(task: Task, graph: bytes, kind: str, threads: int) -> Callable[[Array], Symbols]:
    session = open_session(graph, threads)
    nothing = np.zeros((task.batch, 1), np.int64)
    feeds = {
        "temperature": np.ones((task.batch, 1), np.float32),
        "prompt": nothing[:, :0],
        "prompt_length": nothing,
    }
    if kind == SEEDED:
        feeds |= {"seed": nothing + SEED, "index": np.arange(task.batch)[:, None]}

    def draw(uniforms: Array) -> Symbols:
        given = {} if kind == SEEDED else {"uniforms": np.ascontiguousarray(uniforms)}
        length = {"length": nothing + uniforms.shape[1]}
        drawn: Symbols = session.run(["values"], feeds | given | length)[0]
        return drawn

    return draw
