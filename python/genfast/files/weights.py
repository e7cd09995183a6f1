"""Tensors to the bytes of a file and back, never holding more than the tensors themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genfast.files.header import Header, Stored

__all__ = ["DTYPES", "check_finite", "read_weights", "tensors_of", "write_weights"]

#: torch's dtype of each dtype of a file.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Elements that are looked at together, so that looking takes little memory.
_CHUNK = 2**18


def tensors_of(model: Any) -> dict[str, tuple[str, Tensor]]:
    """The dtype, as files call it, and the tensor of everything in `model.state_dict()`.

    The widest come first, so that each lies at a multiple of its width.

    Raises:
        ValueError: Something is no tensor, of another dtype, or not finite.
    """
    found = {}
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor) or tensor.dtype not in _NAMES:
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise ValueError(f"save: {name} must be one of {', '.join(DTYPES)}, got {kind}")
        check_finite(f"save: {name}", tensor)
        found[name] = (_NAMES[tensor.dtype], tensor.detach())
    return dict(sorted(found.items(), key=lambda item: -item[1][1].element_size()))


def write_weights(file: BinaryIO, tensors: Iterable[Tensor]) -> None:
    """Writes the bytes of tensors, one after another."""
    for tensor in tensors:
        file.write(_bytes(tensor.cpu().contiguous()))


def read_weights(file: BinaryIO, header: Header, name: str) -> dict[str, Tensor]:
    """The tensors of a file on the CPU, in the dtypes they are stored in.

    Args:
        file: Open for reading.
        header: Its header; the tensors are as large as the bytes that it was checked against.
        name: The file, for errors.

    Raises:
        ValueError: The file has become shorter, or a weight is not finite, naming it.
    """
    file.seek(header.data)
    return {key: _read(file, stored, f"{name}: {key}") for key, stored in header.tensors.items()}


def check_finite(name: str, tensor: Tensor) -> None:
    """ValueError naming the first place that is NaN or infinite."""
    flat = tensor.detach().reshape(-1)
    for first in range(0, flat.numel(), _CHUNK):
        wrong = ~flat[first : first + _CHUNK].isfinite()
        if wrong.any():
            at = first + int(wrong.nonzero()[0])
            value = flat[at].item()
            raise ValueError(f"{name} must be finite, got {value} at {_place(at, tensor.shape)}")


def _read(file: BinaryIO, stored: Stored, name: str) -> Tensor:
    tensor = torch.empty(stored.shape, dtype=DTYPES[stored.dtype])
    target = _bytes(tensor)
    if file.readinto(target) != len(target):  # type: ignore[attr-defined]
        raise ValueError(f"{name} is cut short")
    check_finite(name, tensor)
    return tensor


def _bytes(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU; no copy."""
    flat: NDArray[np.uint8] = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(flat.data)


def _place(at: int, shape: torch.Size) -> tuple[int, ...]:
    """The index of element `at`."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tuple(at // stride % size for stride, size in zip(strides, shape, strict=True))
