"""`genfast train gan`: what it leaves, what it goes on with, and what it refuses."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from pressing import CtrlC

import genfast
from genfast.training import History

Command = Callable[..., Any]

SMALL = ("--steps", 6, "--width", 4, "--latent", 3, "--batch-size", 7, "--frames", 3)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty images of 8x4 with labels."""
    x = np.random.default_rng(1).integers(0, 256, (20, 8, 4), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 3)
    return tmp_path / "data.npz"


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as movie:
        return [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(movie)]


@pytest.mark.parametrize(
    ("words", "classes", "architecture"),
    [
        ((), 3, "dcgan"),
        (("--no-conditional", "--architecture", "mlp", "--depth", 1), None, "mlp"),
        (("--objective", "wasserstein", "--discriminator-steps", 2, "--norm", "none"), 3, "dcgan"),
    ],
    ids=str,
)
def test_a_run_leaves_a_model_that_loads(
    words: tuple[object, ...],
    classes: int | None,
    architecture: str,
    data: Path,
    tmp_path: Path,
    genfast_command: Command,
) -> None:
    out = tmp_path / "run"
    said = genfast_command("train", "gan", data, "--out", out, *SMALL, *words)
    assert (said.status, said.err) == (0, "")
    model = genfast.load(out)
    assert (model.shape, model.levels, model.classes) == ((1, 8, 4), 256, classes)
    assert (model.architecture, model.latent, model.width) == (architecture, 3, 4)
    assert "Images: data.npz, 20 of 8x4x1, 256 levels" in said.out
    assert f"genfast sample {out} --num 64 --out samples.png" in said.out
    log = list(csv.DictReader((out / "log.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in log] == [1, 2, 3, 4, 5, 6]
    assert {"discriminator", "generator", "discriminator/real"} <= set(log[0])
    movie = frames_of(out / "training.gif")
    assert len(list((out / "frames").iterdir())) == 3
    given = {} if classes is None else {"classes": torch.arange(3).repeat_interleave(10)}
    drawn = model.to_levels(model.sample(len(given.get("classes", range(100))), seed=0, **given))
    assert np.array_equal(movie[-1], genfast.data.grid(drawn, 256, 10)[..., 0])


def test_points(tmp_path: Path, genfast_command: Command) -> None:
    out = tmp_path / "run"
    said = genfast_command("train", "gan", "gaussians", "--out", out, *SMALL)
    assert (said.status, said.err) == (0, "")
    assert "Points: 4,096 of eight Gaussians." in said.out
    model = genfast.load(out)
    assert (model.shape, model.levels, model.architecture) == ((2,), None, "mlp")
    assert 2 <= len(frames_of(out / "training.gif")) <= 4
    assert f"genfast sample {out} --num 64 --out samples.npy" in said.out
    again = genfast_command("train", "gan", "gaussians", "--out", out, *SMALL, "--resume")
    assert "Going on with" in again.out


def test_odd_sides_are_for_layers_that_are_fully_connected(
    tmp_path: Path, genfast_command: Command, refused: Command
) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(1).integers(0, 9, (20, 7, 6), dtype=np.uint8))
    words = ("train", "gan", tmp_path / "x.npy", *SMALL, "--frames", 0)
    assert genfast_command(*words, "--out", tmp_path / "run").status == 0
    assert genfast.load(tmp_path / "run").architecture == "mlp"
    assert not (tmp_path / "run" / "training.gif").exists()
    line = refused(*words, "--out", tmp_path / "other", "--architecture", "dcgan")
    assert "got 7x6; the nearest that it can make are 8x8" in line


def test_ctrl_c_keeps_the_run_and_resume_ends_it(
    data: Path, tmp_path: Path, genfast_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from genfast.commands import image_training

    words = ["train", "gan", data, *SMALL, "--out"]
    genfast_command(*words, tmp_path / "whole")
    fit = image_training.fit

    def interrupted(*arguments: Any, callbacks: Any, **options: Any) -> History:
        return fit(*arguments, **options, callbacks=[*callbacks, CtrlC(3)])

    monkeypatch.setattr(image_training, "fit", interrupted)
    said = genfast_command(*words, tmp_path / "run")
    assert said.status == 130
    assert "Kept as step 3 left it; the same command with --resume goes on." in said.out
    monkeypatch.undo()
    said = genfast_command(*words, tmp_path / "run", "--resume")
    assert said.status == 0
    whole, resumed = (genfast.load(tmp_path / name) for name in ("whole", "run"))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])
    movies = [(tmp_path / name / "training.gif").read_bytes() for name in ("whole", "run")]
    assert movies[0] == movies[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", 0], "width must be at least 1, got 0"),
        (["--latent", 0], "latent must be at least 1, got 0"),
        (["--discriminator-steps", 0], "discriminator_steps must be at least 1, got 0"),
        (["--r1", -1], "r1 must be at least 0, got -1.0"),
        (["--gradient-penalty", "nan"], "gradient_penalty must be at least 0, got nan"),
        (["--label-smoothing", 1], "label_smoothing must be at least 0 and below 1, got 1.0"),
        (["--label-smoothing", 0.1, "--objective", "hinge"], "label_smoothing must be 0 for"),
        (["--objective", "minimax"], "--objective"),
        (["--frames", -1], "frames must be at least 0, got -1"),
        (["--batch-size", 18, "--r1", 0], "batch must hold at least 2 rows"),
    ],
    ids=str,
)
def test_bad_options(
    words: list[object], message: str, data: Path, tmp_path: Path, genfast_command: Command
) -> None:
    """The last epoch's batch has 18 of 18 rows, or one is left alone."""
    out = tmp_path / "run"
    if "--batch-size" in words:
        words = [*words, "--held-out", 0.05]
    said = genfast_command("train", "gan", data, "--out", out, *SMALL, *words)
    assert said.status == 2
    assert message in said.err
    assert said.err.count("\n") == 1
