"""The header of a safetensors file, read and written by hand: nothing in it is believed.

::

    8 bytes    length of the JSON, little endian
    JSON       {"__metadata__": {str: str}, name: {"dtype": "F32", "shape": [4, 3],
                "data_offsets": [0, 48]}, ...}   padded with spaces to a multiple of 8
    data       every tensor, without a gap
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from genfast.files import strict_json

__all__ = ["SIZES", "Header", "Stored", "header_bytes", "read_header"]

#: Bytes of an element of the dtypes that models are saved in.
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8}
MOST_AXES = 8
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Stored:
    """One tensor of a file.

    Args:
        dtype: A key of SIZES.
        shape: Its axes.
        begin, end: Where its bytes lie behind the header.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file holds.

    Args:
        tensors: By name, in the order of their bytes.
        metadata: What else the file says.
        data: Where the bytes of the tensors begin.
    """

    tensors: dict[str, Stored]
    metadata: dict[str, str]
    data: int


def read_header(file: BinaryIO, name: str) -> Header:
    """The header of a file, checked against the bytes present.

    Args:
        file: A regular file, at its start; only the header is read.
        name: The file, for errors.

    Raises:
        ValueError: The file is cut short, or its header is no safetensors header of a model.
    """
    size = os.fstat(file.fileno()).st_size
    first = file.read(_LENGTH_BYTES)
    if len(first) < _LENGTH_BYTES:
        raise ValueError(f"{name} is cut short: a header takes 8 bytes or more, got {len(first)}")
    length = int.from_bytes(first, "little")
    most = min(size - _LENGTH_BYTES, strict_json.MOST_BYTES)
    if length > most:
        raise ValueError(
            f"{name} is cut short or no safetensors file: its header claims {length} bytes, "
            f"at most {most} can be"
        )
    entries = strict_json.parse_object(file.read(length), f"{name}: its header")
    metadata = _metadata(entries.pop("__metadata__", {}), name)
    tensors = {key: _stored(f"{name}: tensor {key[:80]!r}", e) for key, e in entries.items()}
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)))
    _check_layout(tensors, size - _LENGTH_BYTES - length, name)
    return Header(tensors, metadata, _LENGTH_BYTES + length)


def header_bytes(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> bytes:
    """A header for tensors that follow it in this order.

    Args:
        tensors: dtype (a key of SIZES) and shape by name.
        metadata: Strings to keep with them.

    Raises:
        ValueError: The header would be past the bounds of a reader.
    """
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * SIZES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = strict_json.dump(entries, "save: the header of the weights").encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _metadata(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError(f"{name}: its metadata must be strings by name")
    return value


def _stored(name: str, entry: object) -> Stored:
    """One entry, its types, its numbers and its byte count checked."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} must have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise ValueError(f"{name}: dtype must be one of {', '.join(SIZES)}, got {dtype!r:.40}")
    if not _are_counts(shape) or len(shape) > MOST_AXES:
        raise ValueError(f"{name}: shape must be at most {MOST_AXES} counts, got {shape!r:.80}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name}: data_offsets must be two counts, got {offsets!r:.80}")
    begin, end = offsets
    needed = math.prod(shape) * SIZES[dtype]
    if end - begin != needed:
        raise ValueError(f"{name} takes {needed} bytes, its data_offsets span {end - begin}")
    return Stored(dtype, tuple(shape), begin, end)


def _are_counts(value: object) -> bool:
    """Whether it is a list of integers of at least 0; a bool is none."""
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _check_layout(tensors: Mapping[str, Stored], size: int, name: str) -> None:
    """ValueError unless the tensors lie side by side and fill the data exactly."""
    end = 0
    for key, stored in tensors.items():
        if stored.begin != end:
            what = "overlaps the one" if stored.begin < end else "leaves a gap to the one"
            raise ValueError(f"{name}: tensor {key[:80]!r} {what} before it")
        end = stored.end
    if end > size:
        raise ValueError(f"{name} is cut short: its tensors take {end} bytes, {size} are there")
    if end < size:
        raise ValueError(f"{name}: its tensors take {end} bytes, {size} are there")
