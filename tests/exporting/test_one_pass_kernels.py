"""Behind the latents every operator of a graph has a CUDA kernel in ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from one_pass_models import OnePass
from test_kernels import KERNELS, REALS, types

from genfast.exporting.nodes import OPSET

#: Of the same table as `KERNELS`; these stand in no loop.
MORE: dict[str, tuple[int, list[set[str]]]] = {
    "Conv": (11, [REALS]),
    "ConvTranspose": (11, [REALS]),
    "Cos": (7, [REALS]),
    "LeakyRelu": (16, [REALS]),
    "Log": (13, [REALS]),
    "Sin": (7, [REALS]),
    "Sqrt": (13, [REALS]),
}
#: What makes words of seeds; it runs on the processor, once.
WORDS = {"BitShift", "BitwiseOr", "BitwiseXor"}


@pytest.fixture
def graphs(one_pass: OnePass) -> dict[str, Any]:
    """All that were exported, by their kind."""
    kinds = ("one_pass", "decoder", "encoder")
    files = (path / "1" / "model.onnx" for path in one_pass.report.paths)
    return {kind: onnx.load(file) for kind, file in zip(kinds, files, strict=True)}


def lacking(model: Any) -> set[str]:
    """Operators that CUDA has no kernel for."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    known, missing = types(inferred.graph), set()
    for node in inferred.graph.node:
        given = [known[name] for name in node.input if name]
        since, allowed = (KERNELS | MORE).get(node.op_type, (OPSET + 1, [set()]))
        allowed = allowed + allowed[-1:] * len(given)
        fits = all(kind in kinds for kind, kinds in zip(given, allowed, strict=False))
        if since > OPSET or not fits or node.domain:
            missing.add(node.op_type)
    return missing


def test_decoder_and_encoder(graphs: dict[str, Any]) -> None:
    assert lacking(graphs["decoder"]) == lacking(graphs["encoder"]) == set()


def test_sampler(graphs: dict[str, Any]) -> None:
    assert lacking(graphs["one_pass"]) <= WORDS | {"Shape", "Sub"}
