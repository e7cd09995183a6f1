"""The graphs of a model whose samples take one pass: sampler, decoder, encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from onnx import NodeProto, numpy_helper
from torch import Tensor, nn

from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.one_pass_folding import fold_batch_norms
from genfast.exporting.one_pass_latents import latents
from genfast.exporting.one_pass_tracing import plain_copy, trace
from genfast.exporting.onnx_graph import OnnxGraph
from genfast.models.latent import LatentModel

__all__ = ["OnePassGraph", "build"]

_TEXTS = {
    "one_pass": "A whole sampler, written by genfast: seeds in, samples out.",
    "decoder": "A decoder, written by genfast: latents in, samples out.",
    "encoder": "An encoder, written by genfast: samples in, latents out.",
}
# Rows of the examples that a module is traced with: 0 and 1 would be taken for constants.
_ROWS = 3


@dataclass(frozen=True)
class OnePassGraph(OnnxGraph):
    """A graph of one pass.

    Args:
        kind: "one_pass", which is the sampler, "decoder" or "encoder".
        model: The `onnx.ModelProto`.
        shape: Of one sample.
        levels: Values of an element of the data; None for real numbers.
        latent: L, width of a latent.
        labels: How many there are; None without.
    """

    shape: tuple[int, ...]
    levels: int | None
    latent: int
    labels: int | None

    def config(self, model: Any) -> dict[str, Any]:
        """What config.json says of it."""
        return {
            "classes": self.levels,
            "shape": list(self.shape),
            "latent": self.latent,
            "conditions": {} if self.labels is None else {"classes": self.labels},
        }


class _Input(NamedTuple):
    """An input (batch, *shape)."""

    name: str
    kind: int
    shape: Sequence[int]

    def example(self) -> Tensor:
        """Something to trace with: halves, which every module takes, or label 0."""
        if self.kind == FLOAT:
            return torch.full((_ROWS, *self.shape), 0.5)
        return torch.zeros(_ROWS, *self.shape, dtype=torch.int64)


def build(model: LatentModel) -> dict[str, OnePassGraph]:
    """Every graph of an export by its kind: "one_pass" of a model that draws, "encoder" of one that
    has one.

    Raises:
        NotCompilableError: torch's exporter does not follow a module.
    """
    label = [] if model.classes is None else [_Input("classes", INT64, [1])]
    z, x = _Input("z", FLOAT, [model.latent]), _Input("x", FLOAT, model.shape)
    random = [_Input("seed", INT64, [1]), _Input("index", INT64, [1])]
    bent = [_Input("temperature", FLOAT, [1]), _Input("truncation", FLOAT, [1])]
    inputs = {"decoder": [z, *label]}
    if model.has_prior:
        inputs["one_pass"] = [*random, *label, *bent]
    if hasattr(model, "encode"):
        inputs["encoder"] = [x, *label]
    traced = _traced(plain_copy(model), [z, *([x] if "encoder" in inputs else []), *label])
    return {kind: _graph(model, kind, given, traced) for kind, given in inputs.items()}


class _Both(nn.Module):
    """`decode`, and `encode` where x is given, as one forward pass, labels as a column.

    One, as torch's exporter takes a second to begin; the graphs take of it what is theirs.
    """

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, x: Tensor | None, classes: Tensor | None) -> tuple[Tensor, ...]:
        labels = None if classes is None else classes[:, 0]
        values = self.model.decode(z, labels)
        if x is None:
            return (values,)
        encode: Any = self.model.encode
        codes = encode(x, labels)
        return (values, *(codes if isinstance(codes, tuple) else (codes,)))


def _traced(model: LatentModel, inputs: Sequence[_Input]) -> Any:
    """The `onnx.GraphProto` of all parts, without batch norms; its outputs in their order."""
    module, given = _Both(model), {one.name: one.example() for one in inputs}
    examples = {name: given.get(name) for name in ("z", "x", "classes")}
    name = type(model).__name__
    with torch.no_grad():
        values, *codes = module(*examples.values())
    wanted = [tuple(model.shape), *((model.latent,) for _ in codes)]
    for made, shape in zip((values, *codes), wanted, strict=True):
        if made.shape != (_ROWS, *shape):
            raise ValueError(
                f"export: {name} must give {(_ROWS, *shape)} of {_ROWS} rows, got {(*made.shape,)}"
            )
    graph = trace(module, name, examples)
    fold_batch_norms(graph)
    return graph


def _graph(model: LatentModel, kind: str, inputs: Sequence[_Input], traced: Any) -> OnePassGraph:
    """A part of what was traced, behind the nodes that make its latents where it is the sampler."""
    nodes = Nodes()
    given = {name: nodes.fresh(name) for name, _, _ in inputs}
    if kind == "one_pass":
        given["z"] = latents(nodes, model.latent)
    values, *codes = _inlined(nodes, traced, given)
    made = codes if kind == "encoder" else [values]
    nodes.prune(made)
    names = ["values"]
    if kind == "encoder":
        names = ["z"] if len(codes) == 1 else ["mean", "logvar"]
    nodes.rename(dict(zip(_once(nodes, made), names, strict=True)))
    shape = (model.latent,) if kind == "encoder" else model.shape
    written = nodes.model(
        kind,
        [value_info(name, element, ["batch", *sides]) for name, element, sides in inputs],
        [value_info(name, FLOAT, ["batch", *shape]) for name in names],
        _TEXTS[kind],
    )
    return OnePassGraph(kind, written, model.shape, model.levels, model.latent, model.classes)


def _inlined(nodes: Nodes, graph: Any, given: Mapping[str, str]) -> list[str]:
    """Adds the nodes of another graph, without what only their maker needs; gives its outputs.

    Args:
        nodes: Where they go.
        graph: An `onnx.GraphProto` without graphs in it.
        given: Values of `nodes`, by the names of the inputs that they stand for.
    """
    names = dict(given)
    for tensor in graph.initializer:
        make = partial(numpy_helper.to_array, tensor)
        names[tensor.name] = nodes.weight((id(graph), tensor.name), make, tensor.name)
    for node in graph.node:
        names |= {output: nodes.fresh(output) for output in node.output if output}
        copied = NodeProto(op_type=node.op_type, attribute=node.attribute)
        copied.input.extend(names.get(value, value) for value in node.input)
        copied.output.extend(names.get(value, value) for value in node.output)
        nodes.nodes.append(copied)
    return [names[value.name] for value in graph.output]


def _once(nodes: Nodes, values: Sequence[str]) -> list[str]:
    """Values that may be called otherwise: each made by a node, and no two the same."""
    found: list[str] = []
    for value in values:
        own = nodes.makes(value) and value not in found
        found.append(value if own else nodes.add("Identity", value))
    return found
