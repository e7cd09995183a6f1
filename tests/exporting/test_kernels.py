"""Every operator of a loop's body has a CUDA kernel in ONNX Runtime, for the types it is given.

The table is a part of ONNX Runtime's own, docs/OperatorKernels.md, "Operators implemented by
CUDAExecutionProvider", as of November 2026: opsets of a kernel, and the types of its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import pytest
from rasters import KINDS, make_raster

from genfast.exporting.checks import exportable
from genfast.exporting.nodes import OPSET
from genfast.exporting.raster import build_raster
from genfast.exporting.sampler import build_sampler
from genfast.heads import LogisticMixture
from genfast.models.pixelcnn import PixelCNN
from genfast.program import Program

REALS = {"float", "double", "float16"}
WHOLES = {"int32", "int64", "uint32", "uint64"}
NUMBERS = REALS | WHOLES | {"int8", "int16", "uint8", "uint16"}
ANY = NUMBERS | {"bool"}
INDICES = {"int32", "int64"}

# Operator: first opset of the kernel, then the types of each input, the last for all that follow.
KERNELS: dict[str, tuple[int, list[set[str]]]] = {
    "Add": (14, [NUMBERS]),
    "And": (7, [{"bool"}]),
    "ArgMax": (13, [REALS]),
    "ArgMin": (13, [REALS]),
    "Cast": (13, [ANY]),
    "Clip": (13, [REALS | {"int64", "uint64", "int8", "uint8"}]),
    "Concat": (13, [ANY]),
    "CumSum": (14, [REALS | WHOLES, INDICES]),
    "Div": (14, [NUMBERS]),
    "Equal": (13, [REALS | WHOLES | {"bool"}]),
    "Exp": (13, [REALS]),
    "Expand": (13, [ANY, {"int64"}]),
    "Floor": (13, [REALS]),
    "Gather": (13, [ANY, INDICES]),
    "GatherElements": (13, [ANY, INDICES]),
    "Gemm": (13, [REALS]),
    "Greater": (13, [REALS | WHOLES]),
    "GreaterOrEqual": (16, [REALS | WHOLES]),
    "Identity": (14, [ANY]),
    "If": (13, [{"bool"}]),
    "Less": (13, [REALS | WHOLES]),
    "LessOrEqual": (16, [REALS | WHOLES]),
    "MatMul": (13, [REALS]),
    "Max": (13, [REALS | WHOLES]),
    "Min": (13, [REALS | WHOLES]),
    "Mul": (14, [NUMBERS]),
    "Not": (1, [{"bool"}]),
    "Or": (7, [{"bool"}]),
    "ReduceMax": (18, [REALS | INDICES, {"int64"}]),
    "ReduceSum": (13, [REALS | INDICES, {"int64"}]),
    "Relu": (14, [REALS]),
    "Reshape": (14, [ANY, {"int64"}]),
    "Scan": (16, [ANY]),
    "ScatterElements": (18, [ANY, INDICES, ANY]),
    "Sigmoid": (13, [REALS]),
    "Slice": (13, [ANY, INDICES]),
    "Softmax": (13, [REALS]),
    "Split": (18, [ANY, {"int64"}]),
    "Squeeze": (13, [ANY, {"int64"}]),
    "Sub": (14, [NUMBERS]),
    "Tanh": (13, [REALS]),
    "TopK": (11, [REALS | INDICES, {"int64"}]),
    "Transpose": (13, [ANY]),
    "Unsqueeze": (13, [ANY, {"int64"}]),
    "Where": (16, [{"bool"}, REALS | INDICES | {"uint8"}]),
}


def bodies(graph: Any, known: dict[str, str]) -> Iterator[tuple[Any, dict[str, str]]]:
    """Every loop's body, wherever it lies, and the types of all values that it sees."""
    known = known | types(graph)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                if node.op_type in ("Scan", "Loop"):
                    yield attribute.g, known | types(attribute.g)
                yield from bodies(attribute.g, known)


def types(graph: Any) -> dict[str, str]:
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    found = {tensor.name: names[tensor.data_type] for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        found[value.name] = names[value.type.tensor_type.elem_type]
    return found


def lacking(model: Any) -> list[str]:
    """Nodes of bodies that CUDA has no kernel for, each with the types of its inputs."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    missing, seen = [], 0
    for body, known in bodies(inferred.graph, {}):
        for node in body.node:
            seen += 1
            given = [known[name] for name in node.input if name]
            since, allowed = KERNELS.get(node.op_type, (OPSET + 1, [set()]))
            allowed = allowed + allowed[-1:] * len(given)
            fits = all(kind in kinds for kind, kinds in zip(given, allowed, strict=False))
            if since > OPSET or not fits or node.domain:
                missing.append(f"{node.op_type} {given}")
    assert seen > 5
    return missing


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("classes", [23, 300])
@pytest.mark.parametrize("kept", [None, "fixed", "input"])
def test_models(model_of: Any, cell: str, classes: int, kept: str | None) -> None:
    fixed = {"top_k": 5, "top_p": 0.9}
    how = {None: {}, "fixed": fixed, "input": dict.fromkeys(fixed, "input")}[kept]
    program = model_of(cell, 2, classes=classes).program()
    for written in (program, program.optimized()):
        for uniforms in (False, True):
            model = build_sampler(written, uniforms=uniforms, stop=1, **how)
            assert lacking(model) == []


def test_every_epilogue_and_term(written: Program) -> None:
    assert lacking(build_sampler(written)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_rasters(kind: str) -> None:
    assert lacking(build_raster(make_raster(kind, (3, 4)).optimized())) == []


@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("channels", [1, 3])
def test_mixtures(variant: Any, channels: int) -> None:
    head, shape = LogisticMixture(256, 5, channels), (channels, 2, 4)
    model = PixelCNN(shape, 256, variant=variant, width=4, depth=3, head=head, classes=5)
    for uniforms in (False, True):
        assert lacking(build_raster(exportable(model), uniforms=uniforms)) == []


@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("levels", [2, 256])
@pytest.mark.parametrize("kept", [None, "fixed", "input"])
def test_images(variant: Any, levels: int, kept: str | None) -> None:
    fixed = {"top_k": 1, "top_p": 0.9}
    how = {None: {}, "fixed": fixed, "input": dict.fromkeys(fixed, "input")}[kept]
    model = PixelCNN((3, 2, 4), levels, variant=variant, width=4, depth=3, classes=5, vector=2)
    for uniforms in (False, True):
        assert lacking(build_raster(exportable(model), uniforms=uniforms, **how)) == []


def test_an_operator_without_a_kernel_is_found(model_of: Any) -> None:
    model = build_sampler(model_of().program().optimized())
    for node in model.graph.node:
        if node.op_type == "Scan":
            body = next(a.g for a in node.attribute if a.name == "body")
            (tanh, *_) = (n for n in body.node if n.op_type == "Tanh")
            tanh.op_type = "Acos"
    assert lacking(model) == ["Acos ['float']"]
