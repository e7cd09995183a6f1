"""Folders of pictures; sub-folders are classes."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genfast.data.images import Images, check_size
from genfast.watching import watched

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["read_folder"]

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What Pillow calls a picture of 8 bits a channel or fewer, and whether it is grey.
_GREY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"})
# What Pillow's decoders raise of damaged files.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def read_folder(path: str | Path, size: tuple[int, int] | None = None) -> Images:
    """All pictures of a folder, 256 levels; grey when all of them are, else RGB.

    Names that begin with a dot, and files that no suffix makes a picture, are left out; of what
    moves the first picture counts; what is transparent is laid on black.

    Args:
        path: Either pictures, or folders that hold the pictures of a class each; classes are
            numbered in the order of their names.
        size: (height, width) that every picture is brought to: cut to its proportions, in the
            middle, then scaled. None: all must have one size.

    Raises:
        OSError: The folder is missing or cannot be read.
        ValueError: There is no picture; or one is damaged, unpacks to an absurd size, has more than
            8 bits a channel, or another size than the first: it is named.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f"read_folder: size must be at least 1, got {size}")
    files, labels, names = _listed(Path(path))
    grey, size = _survey(path, files, size)
    pixels = np.empty((len(files), 1 if grey else 3, *size), dtype=np.uint8)
    for row, file in zip(pixels, watched(files, "reading pictures"), strict=True):
        row[:] = _decoded(file, size, grey=grey)
    return Images(torch.from_numpy(pixels).to(torch.int64), labels, 256, str(path), names)


def _listed(path: Path) -> tuple[list[Path], Tensor | None, tuple[str, ...]]:
    """The pictures, their labels and the names of the classes."""
    seen = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in seen if entry.is_dir()]
    files = _pictures(seen)
    if files and folders:
        raise ValueError(
            f"read_folder: {path} must hold pictures or a folder for each class, got "
            f"{files[0].name} beside {folders[0].name}/"
        )
    if not folders:
        if not files:
            raise ValueError(f"read_folder: {path} holds no picture ({' '.join(_SUFFIXES)})")
        return files, None, ()
    labels = []
    for label, folder in enumerate(folders):
        mine = _pictures(sorted(folder.rglob("*")))
        if not mine:
            raise ValueError(f"read_folder: {folder} holds no picture; is it a class?")
        files += mine
        labels += [label] * len(mine)
    return files, torch.tensor(labels), tuple(folder.name for folder in folders)


def _pictures(entries: Sequence[Path]) -> list[Path]:
    return [
        entry
        for entry in entries
        if entry.suffix.lower() in _SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    ]


def _survey(
    path: str | Path, files: Sequence[Path], size: tuple[int, int] | None
) -> tuple[bool, tuple[int, int]]:
    """Whether all are grey, and the size of all, from the headers alone."""
    grey, common = True, size
    for file in watched(files, "looking at pictures"):
        with _opened(file) as image:
            if image.mode not in _GREY | _COLOUR:
                raise ValueError(
                    f"read_folder: {file} must have 8 bits a channel, got mode {image.mode}"
                )
            grey = grey and image.mode in _GREY
            here = (image.height, image.width)
        common = common or here
        if size is None and here != common:
            raise ValueError(
                f"read_folder: {file} must be {common[0]}x{common[1]} (height x width) as "
                f"{files[0].name} is, got {here[0]}x{here[1]}; a size brings all to one"
            )
    assert common is not None
    check_size("read_folder", path, len(files), 1 if grey else 3, *common)
    return grey, common


def _decoded(file: Path, size: tuple[int, int], *, grey: bool) -> npt.NDArray[np.uint8]:
    """(C, H, W)."""
    from PIL import Image, ImageOps

    with _opened(file) as image:
        image.verify()  # the checksums of a PNG, which decoding passes over
    with _opened(file) as image:
        image.load()
        plain = _on_black(image).convert("L" if grey else "RGB")
        if (plain.height, plain.width) != size:
            plain = ImageOps.fit(plain, size[::-1], Image.Resampling.LANCZOS)
        values = np.asarray(plain, dtype=np.uint8)
    return values[None] if grey else values.transpose(2, 0, 1)


def _on_black(image: Picture) -> Picture:
    from PIL import Image

    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA"))


@contextmanager
def _opened(file: Path) -> Iterator[Picture]:
    """A picture whose every failure is one error that names it.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is damaged, no picture, or a decompression bomb.
    """
    from PIL import Image

    with open(file, "rb") as raw, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(raw) as image:
                yield image
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(f"read_folder: {file} is a decompression bomb: {error}") from None
        except _DAMAGE as error:
            if str(error).startswith("read_folder"):
                raise
            said = "it is no picture" if "cannot identify" in str(error) else str(error)
            raise ValueError(f"read_folder: {file} is damaged: {said}") from None
