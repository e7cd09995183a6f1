"""`genfast info`: what was built, and what this machine makes of it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

from genfast._extension import core
from genfast.engines import CudaEngine


@dataclass(frozen=True)
class Info:
    """Say what was built, for which instruction sets, and what this machine can run."""


def run(options: Info) -> None:
    """Prints `lines`."""
    print("\n".join(lines()))


def lines() -> list[str]:
    """Everything worth knowing in a report of a problem, one fact a line.

    Raises:
        ValueError: `GENFAST_ISA` names an instruction set that cannot run here.
    """
    build = core.build_info()
    return [
        f"genfast {build['version']}, built by {build['compiler']}",
        f"instruction sets built: {', '.join(build['isas'])}",
        f"instruction sets this processor runs of those: {', '.join(core.isas())}",
        f"used here: {core.default_isa()} ({_why()})",
        _cuda(build),
        _gpus(),
        _drawing(),
        f"torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}",
        f"threads: {torch.get_num_threads()} (torch.get_num_threads()), "
        f"{os.cpu_count()} processors, {platform.machine()}, {platform.system()}",
        f"for export: {_versions('onnx', 'onnxruntime', 'onnxruntime-gpu', 'onnxscript')}",
        f"for files: {_versions('safetensors', 'huggingface_hub')}",
        f"for pictures: {_versions('pillow', 'matplotlib', 'scikit-learn')}",
        f"for training on several devices: {_versions('accelerate')}",
    ]


def _why() -> str:
    forced = os.environ.get("GENFAST_ISA")
    return "GENFAST_ISA asks for it" if forced else "the widest of them; GENFAST_ISA forces another"


def _cuda(build: dict[str, object]) -> str:
    if not build["cuda"]:
        return "CUDA: not built (no nvcc when it was built, or GENFAST_CUDA=OFF)"
    architectures = build["cuda_architectures"]
    assert isinstance(architectures, list)
    return f"CUDA: built for {', '.join(architectures)}"


def _gpus() -> str:
    """What the core's own runtime sees, which needs no torch built with CUDA."""
    found = core.cuda_devices() or [
        torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
    ]
    return f"GPUs: {', '.join(found) if found else 'none found'}"


def _drawing() -> str:
    """Whether models are drawn from on the GPUs that torch sees, the only ones they can be on."""
    refusals = [CudaEngine.refusal(number) for number in range(max(1, torch.cuda.device_count()))]
    usable = [f"cuda:{number}" for number, refusal in enumerate(refusals) if refusal is None]
    reasons = dict.fromkeys(refusal for refusal in refusals if refusal is not None)
    return f"drawing on a GPU: {'; '.join([', '.join(usable) or 'no', *reasons])}"


def _versions(*names: str) -> str:
    return ", ".join(_version(name) for name in names)


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"
