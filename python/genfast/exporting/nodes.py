"""Building ONNX graphs: nodes and constants by name, and the bodies of loops inside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["FLOAT", "INT64", "OPSET", "Nodes", "operators", "value_info"]

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
#: Of the standard operators: the first with the bit operations that Threefry needs.
OPSET = 18
# The format of onnx 1.13, the first to know that opset.
_IR_VERSION = 8
# Constants up to this size lie in the body that reads them, twice where two do: what a body reads
# from outside costs some 0.3 us a step. Larger ones lie outside, once.
_LOCAL_BYTES = 1 << 18


class Nodes:
    """The nodes of a graph under construction; methods return the names of values.

    A body, made by `Nodes(outer)`, reads what stands outside of it by name. Its large constants lie
    in the outermost graph, so that bodies share them; ONNX Runtime packs them for each reader.

    Args:
        outer: The graph around this one; None for the outermost.
    """

    def __init__(self, outer: Nodes | None = None) -> None:
        self.nodes: list[Any] = []
        self._top: Nodes = self if outer is None else outer._top
        self._constants: dict[Hashable, Any] = {}
        self._names: Counter[str] = Counter()

    def fresh(self, name: str) -> str:
        """A name that nothing in the model has yet: this one if it is free."""
        names = self._top._names
        names[name] += 1
        return name if names[name] == 1 else self.fresh(f"{name}_{names[name]}")

    def weight(self, key: Hashable, make: Callable[[], NDArray[Any]], name: str) -> str:
        """The constant of a key, made when it is asked for first."""
        for constants in (self._constants, self._top._constants):
            if key in constants:
                return str(constants[key].name)
        array = make()
        constants = self._constants if array.nbytes <= _LOCAL_BYTES else self._top._constants
        # ascontiguousarray makes a vector of a scalar.
        array = np.ascontiguousarray(array).reshape(array.shape)
        constants[key] = numpy_helper.from_array(array, self.fresh(name))
        return str(constants[key].name)

    def constant(self, value: Any, dtype: DTypeLike = np.float32, name: str = "constant") -> str:
        """A small constant; equal ones are one."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        return self.weight(key, lambda: array, name)

    def integers(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.constant(values, np.int64, "integers")

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output."""
        return self.many(operator, inputs, [name or operator.lower()], **attributes)[0]

    def many(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> list[str]:
        """A node whose outputs are called like `outputs`."""
        names = [self.fresh(output) for output in outputs]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def split(self, value: str, *names: str) -> list[str]:
        """A value (N, width) cut into columns of equal width, one block a name."""
        return self.many("Split", [value], names, axis=1, num_outputs=len(names))

    def parts(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        """A value cut along an axis into parts of these sizes."""
        if len(sizes) == 1:
            return [value]
        names = [value] * len(sizes)
        return self.many("Split", [value, self.integers(*sizes)], names, axis=axis)

    def columns(self, value: str, blocks: Sequence[range], axis: int = 1) -> str:
        """Columns of a value, cut out where they lie in one piece, which is far faster."""
        first, last = blocks[0].start, blocks[-1].stop
        if all(a.stop == b.start for a, b in pairwise(blocks)):
            cut = (self.integers(place) for place in (first, last, axis))
            return self.add("Slice", value, *cut)
        wanted = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
        return self.add("Gather", value, self.constant(wanted, np.int64, "columns"), axis=axis)

    def cast(self, value: str, to: int) -> str:
        """The value in another type."""
        return self.add("Cast", value, to=to)

    def expand(self, row: NDArray[Any], batch: str, name: str) -> str:
        """A constant row (1, width) for every row of a batch, N being int64 (1)."""
        shape = self.add("Concat", batch, self.integers(row.shape[-1]), axis=0)
        return self.add("Expand", self.constant(row, name=name), shape)

    def most(self, column: str, least: int, name: str) -> str:
        """The largest of an int64 column (N, 1), at least `least`, also of no rows; int64 (1)."""
        flat = self.add("Reshape", column, self.integers(-1))
        some = self.add("Concat", flat, self.integers(least), axis=0)
        return self.add("ReduceMax", some, keepdims=1, name=name)

    def makes(self, value: str) -> bool:
        """Whether a node of this very graph gives the value."""
        return any(value in node.output for node in self.nodes)

    def prune(self, outputs: Sequence[str]) -> None:
        """Drops the nodes that none of these values needs."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(_read([node]))
                kept.append(node)
        self.nodes = kept[::-1]

    def rename(self, names: dict[str, str]) -> None:
        """Calls values of this very graph by other names, which are free."""
        for node in self.nodes:
            for listed in (node.input, node.output):
                listed[:] = [names.get(name, name) for name in listed]

    def body(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The nodes as a loop's or branch's graph, which reads large constants from outside."""
        return helper.make_graph(self.nodes, name, inputs, outputs, self._used_constants())

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], text: str) -> Any:
        """The outermost graph as an `onnx.ModelProto`, checked.

        Args:
            name: Of the graph.
            inputs: `value_info` of each.
            outputs: Likewise.
            text: Its description.
        """
        constants = self._used_constants()
        graph = helper.make_graph(self.nodes, name, inputs, outputs, constants, doc_string=text)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="genfast",
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _used_constants(self) -> list[Any]:
        """Those that are still read after `prune`."""
        read = set(_read(self.nodes))
        return [tensor for tensor in self._constants.values() if tensor.name in read]


def _read(nodes: Iterable[Any]) -> Iterator[str]:
    """Every name that nodes and the graphs in them read."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _read(attribute.g.node)


def value_info(name: str, kind: int, shape: Sequence[int | str]) -> Any:
    """Name, type and shape of an input or output; a word stands for a size known when it runs."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def operators(graph: Any) -> Iterator[tuple[str, str]]:
    """Every operator of a graph and of what lies in it, with the name of the graph it is in."""
    for node in graph.node:
        yield node.op_type, graph.name
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from operators(attribute.g)
