"""Whether tests marked `cuda` can run here, and why not."""

from __future__ import annotations

import torch

from genfast._extension import core

#: The oldest compute capability that the CUDA core draws on.
OLDEST = (8, 0)


def why_not() -> str | None:
    """What is missing, or None where there is a GPU to draw on."""
    if not core.build_info()["cuda"]:
        return "the core was built without CUDA"
    if not core.cuda_devices():
        return "no GPU"
    if not torch.cuda.is_available():
        return "PyTorch cannot use the GPU"
    found = torch.cuda.get_device_capability()
    if found < OLDEST:
        return "the GPU is too old: sm_{}{}, sm_{}{} is the oldest".format(*found, *OLDEST)
    return None
