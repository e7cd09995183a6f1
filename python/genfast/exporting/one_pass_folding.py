"""Batch norms of a traced graph folded into the layers before them.

In evaluation a batch norm is `y = a x + b` for every channel::

    Conv, ConvTranspose, Gemm --> BatchNormalization      weights times a, bias times a plus b
    Gemm --> Reshape -----------> BatchNormalization      the same, a channel being some columns
    anything else --------------> BatchNormalization      Mul, Add
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["fold_batch_norms"]

Array = NDArray[Any]


def fold_batch_norms(graph: Any) -> None:
    """Leaves no BatchNormalization in an `onnx.GraphProto` that was traced in evaluation mode."""
    folding = _Folding(graph)
    nodes = [kept for node in graph.node for kept in folding.instead(node)]
    del graph.node[:]
    graph.node.extend(nodes)


class _Folding:
    """One walk over a graph; layers change in place, their new weights are new constants."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                self._constants[node.output[0]] = node.attribute[0].t
        self._makers = {output: node for node in graph.node for output in node.output}
        self._readers = Counter(value for node in graph.node for value in node.input)
        self._readers.update(value.name for value in graph.output)
        # Sides of every value, 0 for one that is known when it runs.
        self._shapes = {
            value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in (*graph.value_info, *graph.input, *graph.output)
        }

    def instead(self, node: Any) -> list[Any]:
        """What stays in the place of a node: itself, or what does the work of a batch norm."""
        attributes = _attributes(node)
        if node.op_type != "BatchNormalization" or attributes.get("training_mode"):
            return [node]
        scale, bias, mean, variance = (self._array(name) for name in node.input[1:5])
        a = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        b = bias - mean * a
        last = layer = self._maker(node.input[0])
        spread = 1
        if last is not None and last.op_type == "Reshape":
            layer, spread = self._maker(last.input[0]), self._columns(last, a.size)
        if layer is None or not self._absorbed(layer, np.repeat(a, spread), np.repeat(b, spread)):
            return self._product_and_sum(node, a, b)
        last.output[0] = node.output[0]
        self._makers[node.output[0]] = last
        return []

    def _maker(self, value: str) -> Any:
        """The node that gives a value which only one other reads, or None."""
        return self._makers.get(value) if self._readers[value] == 1 else None

    def _columns(self, reshape: Any, channels: int) -> int:
        """Columns of a row that make each channel, where (N, columns) becomes (N, channels, ...);
        0 where it becomes something else."""
        _, *sides = self._shapes.get(reshape.output[0]) or [0]
        return math.prod(sides[1:]) if sides[:1] == [channels] else 0

    def _absorbed(self, layer: Any, a: Array, b: Array) -> bool:
        """Gives a layer the weights of `a layer(x) + b`; False where it cannot have them."""
        scaled, attributes = _LAYERS.get(layer.op_type), _attributes(layer)
        if scaled is None or {attributes.get(name, 1.0) for name in ("alpha", "beta")} != {1.0}:
            return False
        weight, *bias = (name for name in layer.input[1:] if name)
        if not {weight, *bias} <= self._constants.keys():
            return False
        new_weight = scaled(self._array(weight), a, attributes)
        if new_weight is None:
            return False
        new_bias = self._array(bias[0]).reshape(-1) * a + b if bias else b
        layer.input[1:] = [
            self._constant(layer, "weight", new_weight),
            self._constant(layer, "bias", new_bias),
        ]
        return True

    def _product_and_sum(self, node: Any, a: Array, b: Array) -> list[Any]:
        x, y = node.input[0], node.output[0]
        channels = (-1, *(1 for _ in self._shapes[x][2:]))
        scale = self._constant(node, "scale", a.reshape(channels))
        shift = self._constant(node, "shift", b.reshape(channels))
        product = f"{scale}d"
        return [
            helper.make_node("Mul", [x, scale], [product]),
            helper.make_node("Add", [product, shift], [y]),
        ]

    def _array(self, name: str) -> Array:
        return numpy_helper.to_array(self._constants[name]).astype(np.float64)

    def _constant(self, node: Any, what: str, array: Array) -> str:
        """The name of a new constant of a node's."""
        name = f"{node.output[0]}_{what}"
        while name in self._constants or name in self._makers:
            name += "_"
        tensor = numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
        self._graph.initializer.append(tensor)
        self._constants[name] = tensor
        return name


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _rows(weight: Array, a: Array, attributes: dict[str, Any]) -> Array | None:
    """(out, in / groups, ...) of Conv."""
    return weight * a.reshape(-1, *(1 for _ in weight.shape[1:])) if len(weight) == a.size else None


def _transposed(weight: Array, a: Array, attributes: dict[str, Any]) -> Array | None:
    """(in, out / groups, ...) of ConvTranspose, the inputs of a group side by side."""
    groups = attributes.get("group", 1)
    if weight.shape[1] * groups != a.size:
        return None
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    by_part = a.reshape(groups, 1, -1, *(1 for _ in weight.shape[2:]))
    scaled: Array = (parts * by_part).reshape(weight.shape)
    return scaled


def _product(weight: Array, a: Array, attributes: dict[str, Any]) -> Array | None:
    """(in, out) of Gemm, or (out, in)."""
    if attributes.get("transB"):
        return _rows(weight, a, attributes)
    return weight * a if weight.shape[1] == a.size else None


_LAYERS: dict[str, Callable[[Array, Array, dict[str, Any]], Array | None]] = {
    "Conv": _rows,
    "ConvTranspose": _transposed,
    "Gemm": _product,
}
