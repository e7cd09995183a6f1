"""Folders of pictures: what is shown is read, and what is damaged is named."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genfast.data import read_folder, read_images

HEIGHT, WIDTH = 9, 7


def pixels(*channels: int) -> np.ndarray:
    return np.random.default_rng().integers(0, 256, (HEIGHT, WIDTH, *channels), dtype=np.uint8)


def save(path: Path, values: np.ndarray, mode: str | None = None, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path, **options)


@pytest.mark.parametrize("suffix", [".png", ".BMP", ".pgm", ".tif", ".webp"])
def test_grey_pictures(suffix: str, tmp_path: Path) -> None:
    values = [pixels() for _ in range(3)]
    for i, value in enumerate(values):
        save(tmp_path / f"{2 - i}{suffix}", value, **({"lossless": True} if "w" in suffix else {}))
    found = read_images(tmp_path)
    if suffix == ".webp":  # which has no grey, but keeps what it has
        assert found.shape == (3, HEIGHT, WIDTH)
    else:
        assert np.array_equal(found.x[:, 0].numpy(), np.stack(values[::-1]))
    assert (found.levels, found.labels, found.classes) == (256, None, None)


def test_one_coloured_picture_makes_all_rgb(tmp_path: Path) -> None:
    grey, coloured = pixels(), pixels(3)
    save(tmp_path / "a.png", grey)
    save(tmp_path / "b.png", coloured)
    found = read_folder(tmp_path)
    assert found.shape == (3, HEIGHT, WIDTH)
    assert np.array_equal(found.x[1].numpy(), coloured.transpose(2, 0, 1))
    assert all(np.array_equal(found.x[0, c].numpy(), grey) for c in range(3))


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("P", 3), ("LA", 1), ("RGBA", 3)])
def test_modes(mode: str, channels: int, tmp_path: Path) -> None:
    save(tmp_path / "a.png", pixels(3), mode)
    found = read_folder(tmp_path)
    assert found.shape == (channels, HEIGHT, WIDTH)
    wanted = Image.open(tmp_path / "a.png").convert("L" if channels == 1 else "RGB")
    assert np.array_equal(found.x[0].permute(1, 2, 0).squeeze(-1).numpy(), np.asarray(wanted))


def test_the_transparent_is_black(tmp_path: Path) -> None:
    values = pixels(4)
    values[..., 3] = np.where(np.arange(WIDTH) < 3, 0, 255)
    save(tmp_path / "a.png", values)
    found = read_folder(tmp_path).x[0].numpy()
    assert not found[:, :, :3].any()
    assert np.array_equal(found[:, :, 3:], values[:, 3:, :3].transpose(2, 0, 1))


def test_sub_folders_are_classes(tmp_path: Path) -> None:
    for name, count in (("b", 2), ("a", 1), ("c", 3)):
        for i in range(count):
            save(tmp_path / name / ("deeper" if i == 2 else ".") / f"{i}.png", pixels())
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("not a picture")
    (tmp_path / "a" / ".thumb.png").write_text("hidden")
    found = read_images(tmp_path)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert found.class_names == ("a", "b", "c")
    assert found.classes == 3


def test_size_cuts_to_proportions_and_scales(tmp_path: Path) -> None:
    wide = np.zeros((8, 32), np.uint8)
    wide[:, 12:20] = 255
    save(tmp_path / "wide.png", wide)
    save(tmp_path / "small.png", np.full((2, 2), 255, np.uint8))
    found = read_images(tmp_path, size=(4, 4))
    assert found.shape == (1, 4, 4)
    assert int(found.x.min()) > 200


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is `side` times `side`."""
    start = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", start) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png(tmp_path: Path) -> bytes:
    save(tmp_path / "good.png", pixels())
    raw = (tmp_path / "good.png").read_bytes()
    (tmp_path / "good.png").unlink()
    return raw


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "body", "checksum", "bomb", "half"])
def test_damaged_pictures_are_named(damage: str, tmp_path: Path) -> None:
    good = png(tmp_path)
    at = good.index(b"IDAT") + 12
    raw, message = {
        "empty": (b"", "is damaged: it is no picture"),
        "text": (b"not a picture", "is damaged: it is no picture"),
        "cut": (good[: len(good) // 2], "is damaged: "),
        "body": (good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :], "is damaged: "),
        "checksum": (good[:-13] + bytes([good[-13] ^ 1]) + good[-12:], "is damaged: "),
        "bomb": (bomb(30_000), "is a decompression bomb: "),
        "half": (bomb(10_000), "is a decompression bomb: "),  # at which Pillow only warns
    }[damage]
    save(tmp_path / "a.png", pixels())
    (tmp_path / "b.png").write_bytes(raw)
    with pytest.raises(ValueError, match=message) as caught:
        read_folder(tmp_path)
    assert str(caught.value).startswith(f"read_folder: {tmp_path / 'b.png'} ")
    assert "\n" not in str(caught.value)


def test_a_cut_jpeg_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", pixels(3))
    raw = (tmp_path / "a.jpg").read_bytes()
    assert read_folder(tmp_path).shape == (3, HEIGHT, WIDTH)
    (tmp_path / "a.jpg").write_bytes(raw[:-20])
    with pytest.raises(ValueError, match=r"a\.jpg is damaged: "):
        read_folder(tmp_path)


def test_mixed_sizes_name_both(tmp_path: Path) -> None:
    save(tmp_path / "a.png", pixels())
    save(tmp_path / "b.png", pixels()[:-1])
    with pytest.raises(ValueError, match=r"b\.png must be 9x7 .* as a\.png is, got 8x7; a size"):
        read_folder(tmp_path)
    assert read_folder(tmp_path, size=(5, 5)).shape == (1, 5, 5)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", pixels().astype(np.uint16) * 257)
    with pytest.raises(ValueError, match=r"a\.png must have 8 bits a channel, got mode I;16"):
        read_folder(tmp_path)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} holds no picture"):
        read_folder(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ValueError, match=f"{tmp_path} holds no picture"):
        read_folder(tmp_path)
    save(tmp_path / "one" / "a.png", pixels())
    (tmp_path / "two").mkdir()
    with pytest.raises(ValueError, match=f"{tmp_path}/two holds no picture; is it a class"):
        read_folder(tmp_path)
    save(tmp_path / "a.png", pixels())
    with pytest.raises(ValueError, match=r"got a\.png beside one/"):
        read_folder(tmp_path)


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        read_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="size must be at least 1"):
        read_folder(tmp_path, size=(0, 3))
    save(tmp_path / "a.png", pixels())

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "a.png"))

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(PermissionError, match=r"a\.png"):
        read_folder(tmp_path)
