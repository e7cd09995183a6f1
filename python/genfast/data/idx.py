"""IDX, the format of MNIST, packed with gzip or not.

::

    00 00 08 03 | 00 00 EA 60 | 00 00 00 1C | 00 00 00 1C | pixels ...
        type axes     N = 60000       H = 28        W = 28
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genfast.data.images import Images, check_size
from genfast.data.packed import Readable, check_ratio, read_exactly

__all__ = ["read_idx", "read_idx_array"]

_BYTE = 0x08
_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_GZIP = b"\x1f\x8b"


def read_idx(path: str | Path, labels: str | Path | None = None) -> Images:
    """Images of bytes, 256 levels, and the labels of a second file.

    Args:
        path: An IDX file of bytes, (N, H, W), or (N, H, W, C) with 1 to 4 channels.
        labels: An IDX file of bytes, (N,).

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged or of another kind; it is named.
    """
    found = read_idx_array(path, (3, 4))
    if found.ndim == 4 and found.shape[3] > 4:
        raise ValueError(f"read_idx: {path} must have 1 to 4 channels, got {found.shape}")
    pixels = found[..., None] if found.ndim == 3 else found
    x = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.int64))
    known = None
    if labels is not None:
        known = torch.from_numpy(read_idx_array(labels, (1,)).astype(np.int64))
        if len(known) != len(x):
            raise ValueError(
                f"read_idx: {labels} must have a label for each of the {len(x)} images of {path}, "
                f"got {len(known)}"
            )
    return Images(x, known, 256, Path(path).name)


def read_idx_array(path: str | Path, axes: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The bytes of an IDX file.

    Args:
        path: The file.
        axes: Numbers of axes that it may have.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is damaged, of another kind, or packed as no image is.
    """
    with open(path, "rb") as file:
        present = os.fstat(file.fileno()).st_size
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            return _array(path, file, axes, present, packed=False)
        try:
            with gzip.open(file) as unpacked:
                return _array(path, unpacked, axes, present, packed=True)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"read_idx: {path} is damaged or cut short: {error}") from None


def _array(
    path: str | Path, file: Readable, axes: tuple[int, ...], present: int, *, packed: bool
) -> npt.NDArray[np.uint8]:
    """The array behind a header that was held against the bytes `present`."""
    shape = _shape(path, file, axes)
    count = prod(shape)
    check_size("read_idx", path, *shape, *(1,) * (4 - len(shape)))
    if packed:
        check_ratio("read_idx", path, present, count)
    elif present != 4 + 4 * len(shape) + count:
        raise ValueError(
            f"read_idx: {path} must have {4 + 4 * len(shape) + count:,} bytes for its shape "
            f"{shape}, got {present:,}"
        )
    data = read_exactly("read_idx", path, file, count)
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(path: str | Path, file: Readable, axes: tuple[int, ...]) -> tuple[int, ...]:
    """What the header says, or ValueError."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in {_BYTE, *_TYPES}:
        raise ValueError(
            f"read_idx: {path} must be an IDX file, which begins with 00 00 08, "
            f"got {magic.hex(' ') or 'an empty file'}"
        )
    if magic[2] != _BYTE:
        raise ValueError(f"read_idx: {path} must hold bytes (type 08), got {_TYPES[magic[2]]}")
    if magic[3] not in axes:
        wanted = " or ".join(map(str, axes))
        raise ValueError(f"read_idx: {path} must have {wanted} axes, got {magic[3]}")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ValueError(f"read_idx: {path} is cut short: it ends in its header")
    return struct.unpack(f">{magic[3]}I", header)
