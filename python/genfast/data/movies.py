"""Pictures one after the other in one file, for people."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["gif"]

Pixels = npt.NDArray[np.uint8]

# A GIF counts hundredths of a second in 16 bits; viewers take less than two for ten.
_SHORTEST, _LONGEST = 0.02, 600.0
# Colours of the palette, and how many of them are for rare ones.
_COLOURS, _RARE = 256, 32


def gif(frames: Sequence[Pixels], seconds: float = 0.1) -> bytes:
    """An animated GIF that begins again when it is over.

    All frames share one palette, so that a colour that stays is the same in each, and a rare one
    is not lost beside a background of many.

    Args:
        frames: At least one, uint8 (H, W, C), all of one shape; C is 1 for grey, which is kept as
            it is, or 3. Equal ones in a row are shown as one that lasts longer.
        seconds: How long each is shown, 0.02 to 600; hundredths count.

    Raises:
        ValueError: There is no frame, one has another dtype or shape, or `seconds` is out of range.
    """
    _check(frames, seconds)
    first, *others = _images(frames)
    file = io.BytesIO()
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=others,
        duration=10 * round(100 * seconds),
        loop=0,
        optimize=False,
    )
    return file.getvalue()


def _check(frames: Sequence[Pixels], seconds: float) -> None:
    if len(frames) == 0:
        raise ValueError("gif: frames must hold at least one picture, got none")
    for number, frame in enumerate(frames):
        shape = np.shape(frame)
        right = len(shape) == 3 and shape[2] in (1, 3) and min(shape) > 0
        if not right or shape != np.shape(frames[0]) or frame.dtype != np.uint8:
            kind = getattr(frame, "dtype", type(frame).__name__)
            raise ValueError(
                "gif: frames must be uint8 (H, W, C), C = 1 or 3, all of one shape, "
                f"got {kind} {shape} in frame {number} and {np.shape(frames[0])} in frame 0"
            )
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ValueError(
            f"gif: seconds must be from {_SHORTEST:g} to {_LONGEST:g}, got {seconds!r}"
        )


def _images(frames: Sequence[Pixels]) -> Iterator[Image]:
    """Frames as Pillow takes them, of one palette."""
    from PIL import Image

    if frames[0].shape[2] == 1:
        yield from (Image.fromarray(frame[..., 0]) for frame in frames)
        return
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette(frames).tobytes())
    for frame in frames:
        yield Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)


def _palette(frames: Sequence[Pixels]) -> Pixels:
    """The colours of a GIF, (M, 3): most by median cut, the last ones those farthest from these."""
    from PIL import Image

    numbers, counts = _colours(frames)
    known = _bands(numbers)
    if len(known) <= _COLOURS:
        return known
    repeated = np.repeat(known, np.log2(counts).astype(np.int64) + 1, axis=0)
    cut = Image.fromarray(repeated[None]).quantize(
        _COLOURS - _RARE, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    entries = np.array(cut.getpalette(), dtype=np.uint8).reshape(-1, 3)[: _COLOURS - _RARE]
    colours, points = list(entries), known.astype(np.int32)
    distance = np.full(len(points), np.iinfo(np.int32).max)
    while len(colours) <= _COLOURS:
        for entry in colours[-1:] if len(colours) > len(entries) else entries:
            distance = np.minimum(distance, np.square(points - entry).sum(1))
        colours.append(known[distance.argmax()])
    return np.stack(colours[:_COLOURS])


def _colours(frames: Sequence[Pixels]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The colours of all frames as numbers 0xRRGGBB, and how many pixels have each."""
    seen, counts = [], []
    for frame in frames:
        red, green, blue = frame.astype(np.int64).transpose(2, 0, 1)
        number, count = np.unique(red << 16 | green << 8 | blue, return_counts=True)
        seen.append(number)
        counts.append(count)
    numbers, places = np.unique(np.concatenate(seen), return_inverse=True)
    total = np.bincount(places.ravel(), weights=np.concatenate(counts))
    return numbers, total.astype(np.int64)


def _bands(numbers: npt.NDArray[np.int64]) -> Pixels:
    """Red, green and blue of numbers 0xRRGGBB, (M, 3)."""
    return np.stack([numbers >> shift & 255 for shift in (16, 8, 0)], -1).astype(np.uint8)
