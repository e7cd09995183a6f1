"""A draw as ONNX's Loop: what is carried is the symbol and the states, uniforms are gathered.

The body sees the uniforms from outside and takes its row by the iteration's number; the symbols
are the Loop's scan output, so that no buffer of them is carried.
"""

from __future__ import annotations

from collections.abc import Callable

from onnx import TensorProto, helper

from bench.onnx_site import Site, drawn_type, floats, whole_draw
from bench.task import Array, Symbols


def looper(site: Site, threads: int) -> Callable[[Array], Symbols]:
    """Draws by one run of a Loop over the sites."""
    batch, g = site.task.batch, site.graph
    nodes = [
        helper.make_node("Gather", ["uniforms", "iteration"], ["uniform"], axis=0),
        *g.nodes,
        helper.make_node("Identity", [site.outputs[0]], ["drawn"]),
        helper.make_node("Identity", ["going"], ["goes_on"]),
    ]
    counters = [
        helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
        helper.make_tensor_value_info("going", TensorProto.BOOL, []),
    ]
    goes_on = helper.make_tensor_value_info("goes_on", TensorProto.BOOL, [])
    body = helper.make_graph(
        nodes,
        "site",
        [*counters, *site.types(site.carried)],
        [goes_on, *site.types(site.outputs), drawn_type("drawn", batch)],
        g.constants,
    )
    finals = [f"last_{name}" for name in site.carried]
    count = helper.make_node("Shape", ["uniforms"], ["count"], start=0, end=1)
    loop = helper.make_node("Loop", ["count", "", *site.carried], [*finals, "symbols"], body=body)
    graph = helper.make_graph(
        [count, loop],
        "loop",
        [*site.types(site.carried), floats("uniforms", "T", batch, 1), *site.temperature_type()],
        [drawn_type("symbols", "T", batch)],
    )
    return whole_draw(graph, site, threads)
