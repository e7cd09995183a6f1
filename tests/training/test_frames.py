"""Pictures through training: when they are taken, of which weights, and what outlives a kill."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import Kill, KilledError, Regression, data
from torch import nn

from genfast.training import fit
from genfast.training.frames import Frames


def picture(model: Any, step: int) -> np.ndarray:
    """The step, and the first weight."""
    assert not model.training
    weight = int(128 + 40 * float(model.linear.weight[0, 0].detach()))
    return np.array([[[step], [weight]]], dtype=np.uint8)


def run(frames: Frames, **options: Any) -> nn.Module:
    model = Regression()
    given = {"steps": 100, "batch_size": 8, "lr": 0.05, "progress": False, "held_out": 0.0}
    fit(model, data(16), callbacks=[frames], **{**given, **options})
    assert model.training
    return model


def steps_of(frames: Frames) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames.frames]


def test_frames_are_denser_at_the_beginning() -> None:
    frames = Frames(picture, 10)
    run(frames)
    assert steps_of(frames) == [1, 4, 9, 16, 25, 36, 49, 64, 81, 100]


def test_more_frames_than_steps() -> None:
    frames = Frames(picture, 50)
    run(frames, steps=3)
    assert steps_of(frames) == [1, 2, 3, 3]


def test_the_last_frame_is_of_the_weights_that_are_left() -> None:
    frames = Frames(picture, 10)
    model = run(frames, ema=0.9)
    assert np.array_equal(frames.frames[-1], picture(model.eval(), 100))


def test_frames_of_a_killed_run_are_those_of_a_whole_one(tmp_path: Path) -> None:
    whole = Frames(picture, 10)
    run(whole)
    options: dict[str, Any] = {"out": tmp_path, "resume": True, "checkpoint_every": 0.0}
    with pytest.raises(KilledError):
        fit(
            Regression(),
            data(16),
            callbacks=[Frames(picture, 10, tmp_path / "frames"), Kill(30)],
            **{"steps": 100, "batch_size": 8, "lr": 0.05, "progress": False, "held_out": 0.0},
            **options,
        )
    again = Frames(picture, 10, tmp_path / "frames")
    assert steps_of(again) == [1, 4, 9, 16, 25]
    run(again, **options)
    assert steps_of(again) == steps_of(whole)
    assert all(np.array_equal(a, b) for a, b in zip(again.frames, whole.frames, strict=True))
    assert len(list((tmp_path / "frames").iterdir())) == len(whole.frames)


def test_the_movie_rests_at_its_end() -> None:
    frames = Frames(picture, 4)
    run(frames, steps=16)
    movie = Image.open(io.BytesIO(frames.movie(0.1)))
    assert movie.n_frames == len(frames.frames)
    movie.seek(movie.n_frames - 1)
    assert movie.info["duration"] == 1600


def test_a_movie_of_nothing() -> None:
    with pytest.raises(ValueError, match="Frames: number must be at least 1, got 0"):
        Frames(picture, 0)
    with pytest.raises(ValueError, match="gif: frames must hold at least one picture"):
        Frames(picture).movie()
    assert torch.is_grad_enabled()
