"""Threefry in a graph: the uniforms of `genfast.random`, to the bit."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from genfast.exporting.nodes import FLOAT, Nodes
from genfast.threefry import WORD, threefry2x32

__all__ = ["counted", "pairs", "uniforms"]


class _Word:
    """A value uint32 of a graph with the operators of Python's integers below 2**32.

    The type itself wraps at 2**32, so a mask costs no node.
    """

    def __init__(self, nodes: Nodes, name: str) -> None:
        self.nodes, self.name = nodes, name

    def __add__(self, other: _Word | int) -> _Word:
        return self if other == 0 else self._node("Add", other)

    def __xor__(self, other: _Word | int) -> _Word:
        return self._node("BitwiseXor", other)

    def __or__(self, other: _Word) -> _Word:
        return self._node("BitwiseOr", other)

    def __and__(self, mask: int) -> _Word:
        assert mask == WORD
        return self

    def __lshift__(self, bits: int) -> _Word:
        return self._node("BitShift", bits, direction="LEFT")

    def __rshift__(self, bits: int) -> _Word:
        return self._node("BitShift", bits, direction="RIGHT")

    def _node(self, operator: str, other: _Word | int, **attributes: str) -> _Word:
        if isinstance(other, int):
            other = _Word(self.nodes, self.nodes.constant(other, np.uint32, "word"))
        return _Word(self.nodes, self.nodes.add(operator, self.name, other.name, **attributes))


def uniforms(nodes: Nodes, seed: str, index: str, first: str, sites: str, batch: str) -> str:
    """The draws `first .. first + sites - 1` of every row, float32 (sites, N).

    A block's two words are two draws, so a row whose first draw is odd begins at a second word::

        blocks (b, N)  ->  two words (b, N)  ->  (2 b, N)  ->  of each row, from word 0 or 1 on

    The arithmetic runs on vectors (b N): a constant beside an axis of length 1, as a batch of 1
    has, is 20 times slower in ONNX Runtime.

    Args:
        nodes: Where the nodes go.
        seed: int64 (N, 1), below 2**63.
        index: int64 (N, 1), below 2**32.
        first: int64 (N, 1), number of the first draw.
        sites: int64 (1), at least 1.
        batch: int64 (1), N.
    """
    one, two, flat = nodes.integers(1), nodes.integers(2), nodes.integers(-1)
    seed, index, first = (nodes.add("Reshape", value, flat) for value in (seed, index, first))
    blocks = nodes.add("Add", nodes.add("Div", sites, two), one, name="blocks")
    number = nodes.add("Unsqueeze", counted(nodes, blocks), one)
    block = nodes.add("Add", number, nodes.add("Div", first, two), name="block")
    shape = nodes.add("Concat", blocks, batch, axis=0)
    both = _words(nodes, seed, index, block, shape)
    shape = nodes.add("Concat", blocks, one, batch, axis=0)
    pair = [_shaped(nodes, word.name, shape) for word in both]
    words = nodes.add("Reshape", nodes.add("Concat", *pair, axis=1), flat, name="words")
    drawn = _lattice(nodes, _Word(nodes, words))
    shape = nodes.add("Concat", nodes.add("Mul", blocks, two), batch, axis=0)
    drawn = _shaped(nodes, drawn, shape)
    even = nodes.add("Slice", drawn, nodes.integers(0), sites)
    odd = nodes.add("Slice", drawn, one, nodes.add("Add", sites, one))
    is_odd = nodes.add("Equal", nodes.add("Mod", first, two), one)
    return nodes.add("Where", is_odd, odd, even, name="uniforms")


def pairs(nodes: Nodes, seed: str, index: str, blocks: int, batch: str) -> tuple[str, str]:
    """The draws 2b of every row and its draws 2b + 1, b below `blocks`, each float32 (N, blocks).

    Args:
        nodes: Where the nodes go.
        seed: int64 (N, 1), below 2**63.
        index: int64 (N, 1), below 2**32.
        blocks: How many, at least 1.
        batch: int64 (1), N.
    """
    shape = nodes.add("Concat", batch, nodes.integers(blocks), axis=0)
    number = nodes.constant(np.arange(blocks), np.int64, "numbers")
    both = _words(nodes, seed, index, nodes.add("Expand", number, shape), shape)
    first, second = (_shaped(nodes, _lattice(nodes, word), shape) for word in both)
    return first, second


def _words(nodes: Nodes, seed: str, index: str, block: str, shape: str) -> tuple[_Word, _Word]:
    """Both words of every block, as vectors; seed and index are spread over the blocks' shape."""
    high = nodes.add("Div", seed, nodes.integers(1 << 32))
    keys = (nodes.add("Expand", value, shape) for value in (seed, high, index))
    return threefry2x32(*(_Word(nodes, _low_words(nodes, value)) for value in (*keys, block)))


def _lattice(nodes: Nodes, word: _Word) -> str:
    """Numbers in [0, 1) of words."""
    return nodes.add("Mul", nodes.cast((word >> 8).name, FLOAT), nodes.constant(2.0**-24))


def counted(nodes: Nodes, count: str) -> str:
    """0 .. count - 1, int64; count int64 (1)."""
    zero, one = (nodes.constant(value, np.int64, "integer") for value in (0, 1))
    return nodes.add("Range", zero, nodes.add("Squeeze", count, nodes.integers(0)), one)


def _low_words(nodes: Nodes, value: str) -> str:
    """The low 32 bits of an int64, as a vector."""
    flat = nodes.add("Reshape", value, nodes.integers(-1))
    return nodes.cast(flat, TensorProto.UINT32)


def _shaped(nodes: Nodes, value: str, shape: str) -> str:
    """In this shape, whose axes may be 0."""
    return nodes.add("Reshape", value, shape, allowzero=1)
