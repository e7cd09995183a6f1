"""NumPy's files: every layout, no pickle, no belief in a header."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genfast.data import read_array, read_images

Array = np.ndarray[Any, Any]


def npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def random_array(*shape: int, dtype: type = np.uint8, high: int = 200) -> Array:
    return np.random.default_rng().integers(0, high, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "to_chw"),
    [
        ((5, 7, 9), (0, None, 1, 2)),
        ((1, 1, 1), (0, None, 1, 2)),
        ((5, 3, 7, 9), (0, 1, 2, 3)),
        ((5, 1, 17, 2), (0, 1, 2, 3)),
        ((5, 7, 9, 3), (0, 3, 1, 2)),
        ((2, 7, 1, 1), (0, 3, 1, 2)),
        ((2, 4, 4, 4), (0, 1, 2, 3)),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_layouts(
    shape: tuple[int, ...], to_chw: tuple[int | None, ...], order: Any, tmp_path: Path
) -> None:
    values = random_array(*shape)
    np.save(tmp_path / "x.npy", np.asarray(values, order=order))
    expected = values[:, None] if None in to_chw else values.transpose(to_chw)
    found = read_images(tmp_path / "x.npy")
    assert found.x.is_contiguous()
    assert np.array_equal(found.x.numpy(), expected)


@pytest.mark.parametrize(
    ("dtype", "high", "levels"),
    [
        (np.uint8, 3, 256),
        (np.bool_, 2, 2),
        (np.int8, 5, 5),
        (np.int64, 17, 17),
        (np.int64, 1, 2),
        (np.uint16, 1000, 1000),
        (">i4", 11, 11),
    ],
)
def test_levels_follow_the_dtype(dtype: Any, high: int, levels: int, tmp_path: Path) -> None:
    values = random_array(7, 5, 5, dtype=np.int64, high=high)
    values.flat[0] = high - 1
    np.save(tmp_path / "x.npy", values.astype(dtype))
    found = read_array(tmp_path / "x.npy")
    assert found.levels == levels
    assert np.array_equal(found.x[:, 0].numpy(), values.astype(bool) if levels == 2 else values)


def test_labels_of_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", random_array(5, 3, 3))
    np.save(tmp_path / "y.npy", np.array([[3], [0], [1], [1], [2]], np.uint8))
    found = read_images(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    assert found.labels is not None
    assert found.labels.tolist() == [3, 0, 1, 1, 2]
    assert found.classes == 4
    np.save(tmp_path / "y.npy", np.zeros(4, np.uint8))
    with pytest.raises(ValueError, match=r"y.npy must have a label for each of the 5 images, got"):
        read_images(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    (tmp_path / "y").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 5) + bytes([1, 0, 1, 0, 1]))
    found = read_images(tmp_path / "x.npy", labels=tmp_path / "y")
    assert found.classes == 2


def test_arrays_of_npz_are_found(tmp_path: Path) -> None:
    path, x, y = tmp_path / "x.npz", random_array(5, 7, 9), random_array(5, high=3)
    for arrays in ({"x": x, "y": y}, {"pictures": x, "what": y[:, None], "mean": x[0] / 2}):
        if "mean" in arrays:  # floats are not looked at, but what else is there is
            del arrays["mean"]
            arrays["other"] = random_array(4)
        path.write_bytes(npz(**arrays))
        found = read_images(path)
        assert np.array_equal(found.x[:, 0].numpy(), x)
        assert found.labels is not None
        assert np.array_equal(found.labels.numpy(), y)
    path.write_bytes(npz(x=x))
    assert read_images(path).labels is None


def test_keys_choose_among_arrays(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    arrays = {name: random_array(n, 4, 6) for name, n in (("x_train", 6), ("x_test", 3))}
    arrays |= {name: random_array(n, high=10) for name, n in (("y_train", 6), ("y_test", 3))}
    path.write_bytes(npz(**arrays))
    with pytest.raises(ValueError, match="or key must name it; got x_train, x_test"):
        read_array(path)
    found = read_array(path, key="x_test")
    assert np.array_equal(found.x[:, 0].numpy(), arrays["x_test"])
    assert found.labels is not None
    assert np.array_equal(found.labels.numpy(), arrays["y_test"])
    with pytest.raises(ValueError, match=r"key must be one of x_train, x_test in .*, got x"):
        read_array(path, key="x")
    with pytest.raises(ValueError, match=r"label_key must be one of y_test in .*, got y_train"):
        read_array(path, key="x_test", label_key="y_train")
    path.write_bytes(npz(**arrays, second=arrays["y_test"]))
    with pytest.raises(ValueError, match="or label_key must name it; got y_test, second"):
        read_array(path, key="x_test")
    assert read_array(path, key="x_test", label_key="second").labels is not None


GOOD = npy(random_array(5, 7, 9))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is damaged or no .npy file: EOF"),
        (b"GIF89a..", "is damaged or no .npy file: the magic string is not correct"),
        (GOOD[:20], "is damaged or no .npy file: EOF"),
        (GOOD[:-1], r"must have 315 bytes behind its header, for uint8 \(5, 7, 9\), got 314"),
        (GOOD + b"\0", "must have 315 bytes .*, got 316"),
        (GOOD.replace(b"(5, 7, 9)", b"(5,((9)9)"), "is damaged or no .npy file"),
        (GOOD.replace(b"(5, 7, 9)", b"(5,-7,-9)"), "must hold integers, got"),
        (GOOD.replace(b"(5, 7, 9)", b"(5, 7,9L)"), "is damaged or no .npy file"),
        (GOOD[:6] + b"\3" + GOOD[7:], r"is damaged or no .npy file: version \(3, 0\)"),
        (npy(random_array(5, 7, 9, dtype=np.float32)), "must hold integers, got float32"),
        (npy(np.array([[[{}]]], dtype=object)), "must hold numbers, got a pickle, which is not"),
        (npy(random_array(5, 7)), r"must be \(N, H, W\), \(N, C, H, W\)"),
        (npy(random_array(5, 7, 7, 7)), "with 1 to 4 channels"),
        (npy(random_array(0, 7, 7)), "at least one pixel"),
        (npy(-random_array(5, 7, 7, dtype=np.int64) - 1), "must be at least 0"),
        (npy(random_array(2, 7, 7, dtype=np.int64) + 70000), "must hold values below 65536"),
    ],
)
def test_damaged_npy_files_are_named(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message) as caught:
        read_array(path)
    assert "x.npy" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    for name, raw in (("x.npy", npy), ("x.npz", lambda a: npz(x=a))):
        (tmp_path / name).write_bytes(raw(np.array([[[Evil()]]], dtype=object)))
        with pytest.raises(ValueError, match=r"x.np.*a pickle, which is not read"):
            read_array(tmp_path / name)
    assert not (tmp_path / "touched").exists()


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :]


@pytest.mark.parametrize("damage", ["cut", "content", "no zip", "nothing in it", "empty"])
def test_damaged_npz_files_are_named(damage: str, tmp_path: Path) -> None:
    good = npz(x=random_array(50, 7, 9), y=random_array(50))
    raw = {
        "cut": good[:-30],
        "content": flipped(good, 1000),
        "no zip": GOOD,
        "nothing in it": npz(),
        "empty": b"",
    }[damage]
    path = tmp_path / "x.npz"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"x\.npz") as caught:
        read_array(path)
    assert "\n" not in str(caught.value)


class DamagedError(Exception):
    """A file was refused, as it should be."""


def read_or_named(path: Path) -> Array:
    try:
        return read_array(path).x[:, 0].numpy()
    except ValueError as error:
        raise DamagedError if str(path) in str(error) else error from error


@pytest.mark.parametrize("at", range(5, 400, 23))
def test_damage_anywhere_is_one_error_or_harmless(at: int, tmp_path: Path) -> None:
    values = random_array(5, 7, 9)
    path = tmp_path / "x.npz"
    path.write_bytes(flipped(npz(x=values), at))
    # What is read is right: the damage may be in a date, or in a table that nobody reads.
    with contextlib.suppress(DamagedError):
        assert np.array_equal(read_or_named(path), values)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(npz(x=np.zeros((2**10, 2**10, 80), np.uint8)))
    with pytest.raises(ValueError, match="is it a decompression bomb"):
        read_array(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", GOOD)
    raw = bytearray(path.read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"x\.npz is damaged or no .npz file: .*encrypted"):
        read_array(path)
