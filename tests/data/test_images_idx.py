"""IDX files: what is written is read, and a header is not believed."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genfast.data import read_idx, read_images


def idx(values: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """As MNIST's own files are made."""
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def random_bytes(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng().integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 9), (17, 2, 28), (3, 4, 5, 3), (2, 3, 3, 1)])
def test_round_trip(pack: Callable[[bytes], bytes], shape: tuple[int, ...], tmp_path: Path) -> None:
    values, labels = random_bytes(*shape), random_bytes(shape[0]) % 10
    (tmp_path / "images").write_bytes(pack(idx(values)))
    (tmp_path / "labels").write_bytes(pack(idx(labels)))
    found = read_images(tmp_path / "images", labels=tmp_path / "labels")
    channels_last = values if values.ndim == 4 else values[..., None]
    assert np.array_equal(found.x.permute(0, 2, 3, 1).numpy(), channels_last)
    assert found.labels is not None
    assert np.array_equal(found.labels.numpy(), labels)
    assert (found.levels, found.name) == (256, "images")


GOOD = idx(random_bytes(5, 7, 9))
PACKED = gzip.compress(GOOD)


def header(*sides: int, kind: int = 8) -> bytes:
    return struct.pack(f">4B{len(sides)}I", 0, 0, kind, len(sides), *sides)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "begins with 00 00 08, got an empty file"),
        (b"\0\0\x08", "got 00 00 08$"),
        (b"\x89PNG\r\n\x1a\n", "must be an IDX file, which begins with 00 00 08, got 89 50 4e 47"),
        (GOOD[:10], "cut short: it ends in its header"),
        (GOOD[:-1], r"must have 331 bytes for its shape \(5, 7, 9\), got 330"),
        (GOOD + b"\0", "must have 331 bytes .*, got 332"),
        (header(2**31, 2**31, 2**31) + bytes(99), "must hold at most 1,073,741,824 values"),
        (header(2**10, 2**10, 2**10) + bytes(99), "must have 1,073,741,840 bytes"),
        (header(0, 3, 3), "at least one pixel"),
        (header(5, 7, 9, kind=13) + bytes(4 * 315), r"must hold bytes \(type 08\), got float32"),
        (header(5, 7, 9, kind=7), "must be an IDX file"),
        (header(5), "must have 3 or 4 axes, got 1"),
        (header(2, 3, 3, 9) + bytes(162), "must have 1 to 4 channels"),
        (PACKED[:-9], "is damaged or cut short"),
        (PACKED[:40], "is damaged or cut short"),
        (PACKED[:2], "is damaged or cut short"),
        (PACKED[:60] + bytes([PACKED[60] ^ 1]) + PACKED[61:], "is damaged or cut short"),
        (gzip.compress(GOOD[:-1]), "is cut short: 315 bytes must follow its header, got 314"),
        (gzip.compress(GOOD + b"\0"), "must end 315 bytes behind its header, got more"),
    ],
)
def test_damaged_files_are_named(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some-images"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"read_idx: {path} ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (header(4) + bytes(4), "a label for each of the 5 images .*, got 4"),
        (GOOD, "must have 1 axes, got 3"),
        (header(5) + bytes(4), "must have 13 bytes"),
    ],
)
def test_damaged_labels_are_named(raw: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD)
    (tmp_path / "y").write_bytes(raw)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(tmp_path / "x", tmp_path / "y")
    assert str(tmp_path / "y") in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (header(2**10, 2**10, 2**9) + bytes(2**10), "is it a decompression bomb"),
        (header(1, 1, 2) + bytes(2**26), "must end 2 bytes behind its header"),
        (header(2**6, 2**10, 2**10)[:16] + b"\1" * 2**10, "is cut short"),
    ],
    ids=["announced", "hidden", "not there"],
)
def test_no_memory_is_taken_for_a_bomb(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(raw) if message != "is cut short" else padded(raw))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def padded(raw: bytes) -> bytes:
    """gzip with a long comment: bytes that are present, and hold nothing."""
    packed = bytearray(gzip.compress(raw))
    packed[3] |= 16
    return bytes(packed[:10]) + b"c" * 2**20 + b"\0" + bytes(packed[10:])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        read_idx(tmp_path / "missing")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read_idx(tmp_path)
