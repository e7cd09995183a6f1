"""Frames as an animated GIF: every picture as it was, colours that do not flicker."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from genfast.data import gif


def frames_of(movie: bytes, mode: str = "RGB") -> list[np.ndarray]:
    return [np.asarray(f.convert(mode)) for f in ImageSequence.Iterator(opened(movie))]


def opened(movie: bytes) -> Image.Image:
    return Image.open(io.BytesIO(movie))


def test_grey_frames_come_back_as_they_were() -> None:
    frames = list(np.random.default_rng(0).integers(0, 256, (4, 11, 7, 1), dtype=np.uint8))
    for frame, back in zip(frames, frames_of(gif(frames), "L"), strict=True):
        assert np.array_equal(frame[..., 0], back)


def test_few_colours_come_back_as_they_were() -> None:
    chance = np.random.default_rng(1)
    colours = chance.integers(0, 256, (40, 3), dtype=np.uint8)
    frames = [colours[chance.integers(0, 40, (9, 8))] for _ in range(5)]
    for frame, back in zip(frames, frames_of(gif(frames)), strict=True):
        assert np.array_equal(frame, back)


def test_what_stays_does_not_flicker_and_rare_colours_are_seen() -> None:
    """A smooth background of thousands of colours, and a red dot that moves over it."""
    y, x = np.mgrid[:128, :128].astype(np.uint8)
    still = np.stack([y, x, y // 2 + x // 2], -1)
    frames = [still.copy() for _ in range(6)]
    for number, frame in enumerate(frames):
        frame[100, 10 + number * 10 : 13 + number * 10] = (255, 0, 0)
    backs = frames_of(gif(frames))
    assert len(backs) == 6
    for number, back in enumerate(backs):
        dot = back[100, 11 + number * 10].astype(int)
        assert np.abs(dot - (255, 0, 0)).max() < 20
        assert np.array_equal(back[:90], backs[0][:90])
        assert np.abs(back[:90].astype(int) - still[:90]).mean() < 8


def test_it_lasts_as_told_and_begins_again() -> None:
    frames = [np.full((2, 3, 3), 10 * i, dtype=np.uint8) for i in range(3)]
    movie = opened(gif([*frames, *[frames[-1]] * 4], seconds=0.25))
    assert movie.info["loop"] == 0
    durations = [frame.info["duration"] for frame in ImageSequence.Iterator(movie)]
    assert durations == [250, 250, 1250]


def test_one_frame_is_a_picture() -> None:
    frame = np.full((4, 5, 3), (1, 2, 3), dtype=np.uint8)
    (back,) = frames_of(gif([frame]))
    assert np.array_equal(back, frame)


GOOD = np.zeros((4, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("frames", "seconds", "message"),
    [
        ([], 0.1, "frames must hold at least one picture, got none"),
        ([GOOD.astype(float)], 0.1, r"must be uint8 \(H, W, C\).*, got float64 \(4, 5, 3\)"),
        ([GOOD[..., 0]], 0.1, r"got uint8 \(4, 5\) in frame 0"),
        ([GOOD[..., :2]], 0.1, r"C = 1 or 3, .*, got uint8 \(4, 5, 2\)"),
        ([GOOD[:0]], 0.1, r"got uint8 \(0, 5, 3\)"),
        ([GOOD, GOOD[1:]], 0.1, r"one shape, got uint8 \(3, 5, 3\) in frame 1 and \(4, 5, 3\) in"),
        ([[1, 2]], 0.1, r"must be uint8 .*, got list \(2,\)"),
        ([GOOD], 0.0, "seconds must be from 0.02 to 600, got 0.0"),
        ([GOOD], float("nan"), "seconds must be .*, got nan"),
        ([GOOD], 1000, "seconds must be .*, got 1000"),
    ],
)
def test_what_makes_no_movie(frames: Any, seconds: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"gif: .*{message}"):
        gif(frames, seconds)
