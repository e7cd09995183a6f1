"""Batch norms become weights of the layer before them, or a product and a sum."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from genfast.exporting.one_pass_folding import fold_batch_norms

RNG = np.random.default_rng(1)
CHANNELS = 6


def tensor(name: str, *shape: int) -> Any:
    return numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)


def norm(x: str, y: str) -> Any:
    return helper.make_node(
        "BatchNormalization", [x, "scale", "bias", "mean", "var"], [y], epsilon=0.01
    )


def model(nodes: list[Any], weights: list[Any], x: list[Any], outputs: tuple[str, ...]) -> Any:
    variance = numpy_helper.from_array(RNG.random(CHANNELS).astype(np.float32), "var")
    statistics = [tensor(name, CHANNELS) for name in ("scale", "bias", "mean")]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, None) for y in outputs],
        [*weights, *statistics, variance],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


def layer(kind: str, has_bias: bool) -> tuple[Any, list[Any], list[Any]]:
    """A layer x -> h of 6 channels, its weights, and the shape of x."""
    shape, attributes, x = {
        "Conv": ((6, 2, 3, 3), {"group": 2}, ["n", 4, 5, 5]),
        "ConvTranspose": ((4, 6, 3, 3), {}, ["n", 4, 5, 5]),
        "ConvTranspose, grouped": ((4, 3, 3, 3), {"group": 2}, ["n", 4, 5, 5]),
        "Gemm": ((4, 6), {}, ["n", 4]),
        "Gemm, transposed": ((6, 4), {"transB": 1}, ["n", 4]),
    }[kind]
    weights = [tensor("w", *shape), *([tensor("b", 6)] if has_bias else [])]
    names = ["x", *(weight.name for weight in weights)]
    return helper.make_node(kind.partition(",")[0], names, ["h"], **attributes), weights, x


KINDS = ["Conv", "ConvTranspose", "ConvTranspose, grouped", "Gemm", "Gemm, transposed"]


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_takes_the_norm_behind_it(opened: Any, kind: str, has_bias: bool) -> None:
    node, weights, x = layer(kind, has_bias)
    after = helper.make_node("Relu", ["n"], ["y"])
    made = model([node, norm("h", "n"), after], weights, x, ("y",))
    check(opened, made, x, [node.op_type, "Relu"])


def test_columns_that_become_maps(opened: Any) -> None:
    """(n, 12) to (n, 6, 2, 1): two columns make a channel."""
    sides = numpy_helper.from_array(np.array([-1, 6, 2, 1]), "sides")
    product = helper.make_node("Gemm", ["x", "w", "b"], ["flat"])
    reshape = helper.make_node("Reshape", ["flat", "sides"], ["h"])
    weights = [tensor("w", 4, 12), tensor("b", 12), sides]
    made = model([product, reshape, norm("h", "y")], weights, ["n", 4], ("y",))
    check(opened, made, ["n", 4], ["Gemm", "Reshape"])


def test_columns_that_become_something_else(opened: Any) -> None:
    """(n, 12) to (2 n, 6)."""
    sides = numpy_helper.from_array(np.array([-1, 6]), "sides")
    product = helper.make_node("Gemm", ["x", "w"], ["flat"])
    reshape = helper.make_node("Reshape", ["flat", "sides"], ["h"])
    made = model([product, reshape, norm("h", "y")], [tensor("w", 4, 12), sides], ["n", 4], ("y",))
    check(opened, made, ["n", 4], ["Gemm", "Reshape", "Mul", "Add"])


def test_two_norms_in_a_row(opened: Any) -> None:
    node, weights, x = layer("Conv", True)
    made = model([node, norm("h", "n"), norm("n", "y")], weights, x, ("y",))
    check(opened, made, x, ["Conv"])


def test_a_layer_that_others_read_is_left_alone(opened: Any) -> None:
    node, weights, x = layer("Conv", True)
    made = model([node, norm("h", "y")], weights, x, ("y", "h"))
    check(opened, made, x, ["Conv", "Mul", "Add"])


@pytest.mark.parametrize("x", [["n", 6], ["n", 6, 3], ["n", 6, 4, 4]])
def test_a_norm_behind_no_layer(opened: Any, x: list[Any]) -> None:
    before = helper.make_node("Tanh", ["x"], ["h"])
    check(opened, model([before, norm("h", "y")], [], x, ("y",)), x, ["Tanh", "Mul", "Add"])


def test_layers_that_share_their_weights(opened: Any) -> None:
    weights = [tensor("w", 6, 6, 1, 1)]
    first = helper.make_node("Conv", ["x", "w"], ["h"])
    second = helper.make_node("Conv", ["n", "w"], ["y"])
    x = ["n", 6, 2, 2]
    made = model([first, norm("h", "n"), second], weights, x, ("y",))
    check(opened, made, x, ["Conv", "Conv"])


def test_a_scaled_product_is_left_alone(opened: Any) -> None:
    node, weights, x = layer("Gemm", True)
    node.attribute.append(helper.make_attribute("beta", 0.5))
    made = model([node, norm("h", "y")], weights, x, ("y",))
    check(opened, made, x, ["Gemm", "Mul", "Add"])


def check(opened: Any, made: Any, x: list[Any], operators: list[str]) -> None:
    """The folded graph has these operators and gives the same."""
    given = RNG.normal(size=(3, *x[1:])).astype(np.float32)
    wanted = opened(made)(x=given)
    fold_batch_norms(made.graph)
    onnx.checker.check_model(made, full_check=True)
    assert Counter(node.op_type for node in made.graph.node) == Counter(operators)
    for found, expected in zip(opened(made)(x=given), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
