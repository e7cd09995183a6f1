"""Recurrent rivals in ONNX Runtime: the step graph driven with IO binding, a Scan and a Loop of it.

The nodes of a step are `onnx_step`'s. The step graph is these nodes; the Scan graph has them as its
body, uniforms scanned in and symbols scanned out; the Loop is `onnx_loop`'s. Every optimisation is
on, workers may spin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from onnx import helper

from bench.harness import AS_WRITTEN, SAME_ALGEBRA, Contender
from bench.onnx_loop import looper
from bench.onnx_site import Site, drawn_type, floats, open_session, serialized, whole_draw
from bench.task import Array, Symbols, Task, Weights

FORMS = ("operator", "gemm")
TEMPERED_FORMS = tuple(f"{form}, temperature" for form in FORMS)


def _stepper(site: Site, threads: int) -> Callable[[Array], Symbols]:
    """Draws by running the step graph once a site, between two sets of buffers bound once."""
    task, g, inputs, outputs = site.task, site.graph, site.carried, site.outputs
    given = [floats("uniform", task.batch, 1), *site.temperature_type()]
    graph = helper.make_graph(
        g.nodes, "step", [*site.types(inputs), *given], site.types(outputs), g.constants
    )
    session = open_session(serialized(graph), threads)
    fixed = {"uniform": np.zeros((task.batch, 1), np.float32)} | site.temperature()
    sets = [list(site.start().values()) for _ in range(2)]
    bindings = [session.io_binding() for _ in range(2)]
    for k, binding in enumerate(bindings):
        for name, array in (dict(zip(inputs, sets[k], strict=True)) | fixed).items():
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        for name, array in zip(outputs, sets[1 - k], strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    run = session.run_with_iobinding

    def draw(uniforms: Array) -> Symbols:
        rows, column = np.ascontiguousarray(uniforms.T), fixed["uniform"][:, 0]
        drawn = np.empty(rows.shape, np.int64)
        sets[0][0][:] = task.classes
        for state in sets[0][1:]:
            state[:] = 0
        for number, row in enumerate(rows):
            column[:] = row
            run(bindings[number & 1])
            drawn[number] = sets[1 - (number & 1)][0]
        return drawn.T

    return draw


def _scanner(site: Site, threads: int) -> Callable[[Array], Symbols]:
    """Draws by one run of a Scan over the sites."""
    batch, g = site.task.batch, site.graph
    body = helper.make_graph(
        [*g.nodes, helper.make_node("Identity", [site.outputs[0]], ["drawn"])],
        "site",
        [*site.types(site.carried), floats("uniform", batch, 1)],
        [*site.types(site.outputs), drawn_type("drawn", batch)],
        g.constants,
    )
    finals = [f"last_{name}" for name in site.carried]
    scan = helper.make_node(
        "Scan",
        [*site.carried, "uniforms"],
        [*finals, "symbols"],
        body=body,
        num_scan_inputs=1,
    )
    graph = helper.make_graph(
        [scan],
        "scan",
        [*site.types(site.carried), floats("uniforms", "T", batch, 1), *site.temperature_type()],
        [drawn_type("symbols", "T", batch)],
    )
    return whole_draw(graph, site, threads)


_ENGINES = {"onnx scan": _scanner, "onnx step": _stepper, "onnx loop": looper}


def offers(
    task: Task,
    engines: Sequence[str] = ("onnx scan", "onnx step"),
    forms: Sequence[str] = FORMS,
) -> list[tuple[str, str, str]]:
    """(kind, engine, form) of every ONNX Runtime rival of a row, nothing built yet."""
    kinds = (AS_WRITTEN, SAME_ALGEBRA)
    return [(kind, engine, form) for engine, kind, form in product(engines, kinds, forms)]


def build(
    task: Task, weights: Weights, kind: str, engine: str, form: str, threads: int
) -> Contender:
    """One ONNX Runtime rival."""
    site = Site.of(task, weights, form, kind == SAME_ALGEBRA)
    return Contender(kind, engine, form, threads, _ENGINES[engine](site, threads))
