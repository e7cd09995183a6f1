"""ONNX Runtime on a GPU: the step graph of `rivals_onnx`, bound to memory of the device.

Two sets of buffers are bound once, each the other's output, so that nothing is copied but the
uniforms of a site. The provider of a processor takes the same route, for tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import torch
from onnx import helper
from torch import Tensor

from bench.image_task import Contender
from bench.onnx_site import Site, floats, serialized
from bench.task import Task, Weights

#: With options: products of float32 are not to be TF32.
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "cpu": ("CPUExecutionProvider", {}),
}


def make(
    task: Task, weights: Weights, kind: str, form: str, folded: bool, uniforms: Tensor
) -> Contender:
    """The step graph, driven once a site.

    Args:
        task: What is drawn.
        weights: float32.
        kind: Of the contender.
        form: "operator" or "gemm".
        folded: Whether the input projection is a table.
        uniforms: float32 (N, sites, 1), on the device.

    Raises:
        RuntimeError: This ONNX Runtime has no provider for the device.
    """
    provider, settings = PROVIDERS[uniforms.device.type]
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise RuntimeError(f"ONNX Runtime has no {provider}, only {', '.join(available)}")
    site = Site.of(task, weights, form, folded)
    graph = helper.make_graph(
        site.graph.nodes,
        "step",
        [*site.types(site.carried), floats("uniform", task.batch, 1)],
        site.types(site.outputs),
        site.graph.constants,
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        serialized(graph), options, providers=[(provider, settings)]
    )
    return Contender(kind, f"onnxruntime {form}", 1, _drawer(session, site, uniforms))


def _drawer(
    session: onnxruntime.InferenceSession, site: Site, uniforms: Tensor
) -> Callable[[], Tensor]:
    device, start = uniforms.device, site.start()
    sets = [[torch.from_numpy(v).to(device) for v in start.values()] for _ in range(2)]
    rows = uniforms.transpose(0, 1).contiguous()
    uniform = torch.empty_like(rows[0])
    bindings = [session.io_binding() for _ in range(2)]
    for k, binding in enumerate(bindings):
        for name, tensor in zip(site.carried, sets[k], strict=True):
            _bind(binding.bind_input, name, tensor)
        _bind(binding.bind_input, "uniform", uniform)
        for name, tensor in zip(site.outputs, sets[1 - k], strict=True):
            _bind(binding.bind_output, name, tensor)
    drawn = torch.empty(rows.shape[:2], dtype=torch.int64, device=device)

    def draw() -> Tensor:
        sets[0][0].fill_(site.task.classes)
        for state in sets[0][1:]:
            state.zero_()
        for number, row in enumerate(rows):
            uniform.copy_(row)
            _wait(device)  # ONNX Runtime computes on a stream of its own
            session.run_with_iobinding(bindings[number & 1])
            drawn[number].copy_(sets[1 - (number & 1)][0])
        return drawn.T

    return draw


def _bind(bind: Callable[..., None], name: str, tensor: Tensor) -> None:
    dtype = np.int32 if tensor.dtype == torch.int32 else np.float32
    bind(name, tensor.device.type, 0, dtype, tuple(tensor.shape), tensor.data_ptr())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
