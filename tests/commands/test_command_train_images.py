"""`genfast train pixelcnn`: what it leaves, what it goes on with, and what it refuses."""

from __future__ import annotations

import csv
import gzip
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pressing import CtrlC

import genfast
from genfast.commands import image_training
from genfast.data import read_images
from genfast.training import History

Command = Callable[..., Any]

SMALL = ("--steps", 4, "--width", 5, "--depth", 2, "--batch-size", 7, "--evaluate-every", 2)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty images of 4x3 with labels."""
    x = np.random.default_rng(1).integers(0, 256, (20, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 3)
    return tmp_path / "data.npz"


@pytest.mark.parametrize(
    ("words", "classes", "levels"),
    [
        ((), 3, 256),
        (("--no-conditional",), None, 256),
        (("--levels", 5, "--variant", "masked"), 3, 5),
    ],
    ids=str,
)
def test_a_run_leaves_a_model_that_loads(
    words: tuple[object, ...],
    classes: int | None,
    levels: int,
    data: Path,
    tmp_path: Path,
    genfast_command: Command,
) -> None:
    out = tmp_path / "run"
    said = genfast_command("train", "pixelcnn", data, "--out", out, *SMALL, *words)
    assert (said.status, said.err) == (0, "")
    model = genfast.load(out)
    assert (model.shape, model.levels, model.classes) == ((1, 4, 3), levels, classes)
    assert model.variant == ("masked" if "masked" in words else "gated")
    labels = "no labels" if classes is None else "3 classes"
    assert f"Images: data.npz, 20 of 4x3x1, {levels} levels, {labels}." in said.out
    _, held = read_images(data, levels=None if levels == 256 else levels).split(0.1)
    given = {} if classes is None else {"classes": held.labels}
    with torch.no_grad():
        bits = -float(model.log_prob(held.x, **given).sum()) / math.log(2) / held.x.numel()
    assert model.figures["held_out_bits_per_dim"] == pytest.approx(bits, rel=1e-5)
    assert f"{bits:.3f} bits per dim of the 2 held-out images." in said.out
    log = list(csv.DictReader((out / "log.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in log if row["held_out_loss"]] == [2, 4]
    assert float(log[-1]["held_out_loss"]) == pytest.approx(bits * math.log(2), rel=1e-5)
    assert {"checkpoint.pt", "curves.png", "run.json"} <= {p.name for p in out.iterdir()}
    assert f"genfast sample {out} --num 64 --out grid.png" in said.out


def test_every_kind_of_data(tmp_path: Path, genfast_command: Command) -> None:
    x = np.random.default_rng(2).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    idx = struct.pack(">4B3I", 0, 0, 8, 3, 6, 5, 4) + x.tobytes()
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx))
    (tmp_path / "y").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 6) + bytes([0, 1, 2, 3, 4, 5]))
    for i, image in enumerate(x):
        path = tmp_path / "pictures" / str(i) / "a.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(image).save(path)
    hashes = set()
    for i, words in enumerate(
        (
            ["x.npy", "--labels", tmp_path / "y"],
            ["x-idx3-ubyte.gz", "--labels", tmp_path / "y"],
            ["pictures"],
        )
    ):
        out = tmp_path / f"run{i}"
        source, *labels = words
        command = ["train", "pixelcnn", tmp_path / str(source), *labels, "--out", out, *SMALL]
        assert genfast_command(*command).status == 0
        hashes.add(json.loads((out / "run.json").read_text())["data_sha256"])
    assert len(hashes) == 1  # of the same images with the same labels


def test_digits_for_one_epoch(tmp_path: Path, genfast_command: Command) -> None:
    words = ("--epochs", 1, "--width", 4, "--depth", 1, "--batch-size", 512)
    said = genfast_command("train", "pixelcnn", "digits", "--out", tmp_path / "run", *words)
    assert said.status == 0
    assert "Images: digits, 1,797 of 8x8x1, 17 levels, 10 classes." in said.out
    assert ": 1 epoch of 512 images" in said.out
    assert "bits per dim of the 180 held-out images" in said.out
    assert genfast.load(tmp_path / "run").figures["steps"] == 4


def test_ctrl_c_keeps_the_run_and_resume_ends_it(
    data: Path, tmp_path: Path, genfast_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "pixelcnn", data, *SMALL, "--out"]
    genfast_command(*words, tmp_path / "whole")
    fit = image_training.fit

    def interrupted(*arguments: Any, **options: Any) -> History:
        return fit(*arguments, **options, callbacks=[CtrlC(3)])

    monkeypatch.setattr(image_training, "fit", interrupted)
    said = genfast_command(*words, tmp_path / "run")
    assert said.status == 130
    assert "Kept as step 3 left it; the same command with --resume goes on." in said.out
    monkeypatch.undo()
    said = genfast_command(*words, tmp_path / "run", "--resume")
    assert said.status == 0
    assert f"Going on with {tmp_path}/run: 4 steps" in said.out
    whole, resumed = (genfast.load(tmp_path / name) for name in ("whole", "run"))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])


def test_early_stopping_ends_a_run(data: Path, tmp_path: Path, genfast_command: Command) -> None:
    """The images are noise, which cannot be learnt."""
    words = (*SMALL, "--steps", 400, "--patience", 2, "--lr", 0.05)
    said = genfast_command("train", "pixelcnn", data, "--out", tmp_path / "run", *words)
    assert said.status == 0
    assert genfast.load(tmp_path / "run").figures["steps"] < 400


def test_resume_refuses_other_images_and_options(
    data: Path, tmp_path: Path, genfast_command: Command, refused: Command
) -> None:
    words = ("train", "pixelcnn", data, "--out", tmp_path / "run", *SMALL)
    assert genfast_command(*words).status == 0
    assert "exists already" in refused(*words)
    assert "width was 5, got 6" in refused(*words, "--resume", "--width", 6)
    assert "data was " in refused(*words, "--resume", "--levels", 7)
    x = np.load(data)["x"]
    x[0, 0, 0] ^= 1
    np.savez(data, x=x, y=np.arange(20) % 3)
    assert "data was " in refused(*words, "--resume")
    np.savez(data, x=np.load(data)["x"], y=np.arange(20) % 2)
    assert "data was " in refused(*words, "--resume")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", 0], "width must be at least 1, got 0"),
        (["--depth", -1], "depth must be at least 1, got -1"),
        (["--mixture", 0], "mixture must be at least 1, got 0"),
        (["--levels", 1], "levels must be at least 2, got 1"),
        (["--epochs", 0], "epochs must be at least 1, got 0"),
        (["--lr", "nan"], "lr must be above 0, got nan"),
        (["--held-out", 1], "held_out must be inside (0, 1), got 1.0"),
        (["--held-out", 0.99], "images left to train on beside the 20 held out, got 20"),
        (["--variant", "blind"], "--variant"),
        (["--seed", -1], "seed must be at least 0"),
        (["--key", "z"], "key must be one of x in"),
        (["--size", 3, 3], "an .npz file takes no size"),
        (["--labels", "y"], "an .npz file takes no labels"),
    ],
    ids=str,
)
def test_bad_options(
    words: list[object], message: str, data: Path, tmp_path: Path, refused: Command
) -> None:
    line = refused("train", "pixelcnn", data, "--out", tmp_path / "run", *SMALL, *words)
    assert message in line
    assert not (tmp_path / "run").exists()


def test_bad_data(data: Path, tmp_path: Path, text: Path, refused: Command) -> None:
    def line(source: object) -> str:
        return refused("train", "pixelcnn", source, "--out", tmp_path / "run", *SMALL)

    raw = data.read_bytes()
    data.write_bytes(raw[:-5])
    assert f"{data} is damaged" in line(data)
    assert f"{text} must be an IDX file" in line(text)
    assert "missing" in line(tmp_path / "missing")
    (tmp_path / "pictures").mkdir()
    assert "holds no picture" in line(tmp_path / "pictures")
    (tmp_path / "pictures" / "a.png").write_bytes(b"\x89PNG")
    assert "a.png is damaged" in line(tmp_path / "pictures")
    assert "DATA" in refused("train", "pixelcnn", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_digits_without_scikit_learn(
    tmp_path: Path, genfast_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    said = genfast_command("train", "pixelcnn", "digits", "--out", tmp_path / "run", *SMALL)
    assert said.status == 1
    assert said.err == (
        "genfast: digits: scikit-learn must be installed, which holds them: "
        "pip install scikit-learn\n"
    )
