"""Images in NumPy's own files. Nothing in them is executed: no pickle is read."""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib import format as npy
from torch import Tensor

from genfast.data.idx import read_idx_array
from genfast.data.images import Images, check_size
from genfast.data.packed import check_ratio, read_exactly
from genfast.files.limits import MOST_LEVELS

__all__ = ["read_array"]

Array = npt.NDArray[Any]
_MOST_CHANNELS = 4
_HEADERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


def read_array(
    path: str | Path,
    labels: str | Path | None = None,
    *,
    key: str | None = None,
    label_key: str | None = None,
) -> Images:
    """Images of an .npz file, or of any other name as an .npy file.

    The images are integers or booleans: (N, H, W); (N, C, H, W), taken so where axis 1 has at most
    4 entries; else (N, H, W, C) with at most 4 channels. Bytes have 256 levels, booleans 2, other
    integers as many as their largest value asks for. Labels are integers (N,) or (N, 1).

    Args:
        path: The file.
        labels: An .npy or IDX file of labels, for an .npy file.
        key: The array of images in an .npz file; the only one of 3 or 4 axes when None.
        label_key: The array of labels in an .npz file; the only one with an entry for each image
            when None, and no labels where there is none.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged or not as above, or several arrays may be meant.
    """
    if Path(path).suffix == ".npz":
        return _of_npz(path, key, label_key)
    found, known = _read_npy(path), None
    if labels is not None:
        is_npy = Path(labels).suffix == ".npy"
        known = _read_npy(labels) if is_npy else read_idx_array(labels, (1,))
    return _images(path, found, labels, known)


def _of_npz(path: str | Path, key: str | None, label_key: str | None) -> Images:
    try:
        with zipfile.ZipFile(path) as archive:
            shapes = dict(_shapes(path, archive))
            key = _chosen(path, "key", key, [k for k, s in shapes.items() if len(s) in (3, 4)])
            n = shapes[key][:1]
            fitting = [k for k, s in shapes.items() if s in (n, (*n, 1))]
            if label_key is not None or fitting:
                label_key = _chosen(path, "label_key", label_key, fitting)
            found = _read_member(path, archive, key)
            labels = None if label_key is None else _read_member(path, archive, label_key)
    except _DAMAGED_ZIP as error:
        raise ValueError(f"read_array: {path} is damaged or no .npz file: {error}") from None
    return _images(path, found, f"{path}[{label_key}]", labels)


def _shapes(path: str | Path, archive: zipfile.ZipFile) -> list[tuple[str, tuple[int, ...]]]:
    """(key, shape) of every array."""
    found = []
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            with archive.open(info) as file:
                shape, _, _ = _header(f"{path}[{info.filename}]", file)
            found.append((info.filename.removesuffix(".npy"), shape))
    return found


def _chosen(path: str | Path, option: str, asked: str | None, fitting: list[str]) -> str:
    """The array that was asked for, or the only one that can be meant."""
    keys = ", ".join(fitting) or "none"
    if asked is not None and asked not in fitting:
        raise ValueError(f"read_array: {option} must be one of {keys} in {path}, got {asked}")
    if asked is None and len(fitting) != 1:
        raise ValueError(
            f"read_array: {path} must have one array that can be meant, or {option} must name it; "
            f"got {keys}"
        )
    return asked or fitting[0]


def _read_npy(path: str | Path) -> Array:
    with open(path, "rb") as file:
        return _read(str(path), file, os.fstat(file.fileno()).st_size)


def _read_member(path: str | Path, archive: zipfile.ZipFile, key: str) -> Array:
    info = archive.getinfo(f"{key}.npy")
    name = f"{path}[{key}]"
    check_ratio("read_array", name, info.compress_size, info.file_size)
    with archive.open(info) as file:
        return _read(name, file, info.file_size)


def _read(name: str, file: IO[bytes], size: int) -> Array:
    """An array of a stream of `size` bytes, which must be what its header says."""
    shape, fortran, dtype = _header(name, file)
    count, present = prod(shape) * dtype.itemsize, size - file.tell()
    if count != present:
        raise ValueError(
            f"read_array: {name} must have {count:,} bytes behind its header, for {dtype} {shape}, "
            f"got {present:,}"
        )
    data = read_exactly("read_array", name, file, count)
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _header(name: str, file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and dtype; ValueError for what is not read."""
    try:
        version = npy.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a header that only Python 2 can have written
            shape, fortran, dtype = _HEADERS[version](file)
    except Exception as error:  # NumPy's parser lets out whatever a hostile header makes of it
        said = f"version {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise ValueError(f"read_array: {name} is damaged or no .npy file: {said}") from None
    if dtype.hasobject:
        raise ValueError(f"read_array: {name} must hold numbers, got a pickle, which is not read")
    if dtype.kind not in "iub" or any(side < 0 for side in shape):
        raise ValueError(f"read_array: {name} must hold integers, got {dtype} {shape}")
    return shape, fortran, dtype


def _images(path: str | Path, found: Array, label_name: object, labels: Array | None) -> Images:
    x = torch.from_numpy(_channels_first(path, found))
    levels = {"u1": 256, "b1": 2}.get(found.dtype.str[1:], max(2, int(x.max()) + 1))
    if levels > MOST_LEVELS:
        raise ValueError(
            f"read_array: {path} must hold values below {MOST_LEVELS}, got {levels - 1}"
        )
    known = None if labels is None else _labels(label_name, labels, len(x))
    return Images(x, known, levels, Path(path).name)


def _channels_first(path: str | Path, found: Array) -> npt.NDArray[np.int64]:
    shape = found.shape
    if len(shape) == 3:
        found = found[:, None]
    elif len(shape) == 4 and shape[1] > _MOST_CHANNELS:
        found = found.transpose(0, 3, 1, 2)
    if found.ndim != 4 or found.shape[1] > _MOST_CHANNELS:
        raise ValueError(
            f"read_array: {path} must be (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 to "
            f"{_MOST_CHANNELS} channels, got {shape}"
        )
    check_size("read_array", path, *found.shape)
    return np.ascontiguousarray(found, dtype=np.int64)


def _labels(name: object, found: Array, n: int) -> Tensor:
    if found.shape not in ((n,), (n, 1)):
        raise ValueError(
            f"read_array: {name} must have a label for each of the {n} images, got {found.shape}"
        )
    return torch.from_numpy(found.reshape(n).astype(np.int64))
