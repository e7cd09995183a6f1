"""`genfast train vae` and `genfast sample` of what it leaves."""

from __future__ import annotations

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
from genfast.data import grid, read_images
from genfast.training import History

Command = Callable[..., Any]

SMALL = ("--steps", 4, "--width", 9, "--depth", 1, "--latent", 3, "--batch-size", 7)
SMALL = (*SMALL, "--evaluate-every", 2, "--importance", 5)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty images of 4x3 with labels."""
    x = np.random.default_rng(1).integers(0, 256, (20, 4, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(20) % 3)
    return tmp_path / "data.npz"


@pytest.mark.parametrize(
    ("words", "classes", "levels", "likelihood"),
    [
        ((), 3, 256, "logistic"),
        (("--no-conditional", "--levels", 2), None, 2, "bernoulli"),
        (("--architecture", "convolutional", "--beta", 0.5), 3, 256, "logistic"),
        (("--levels", 2, "--likelihood", "logistic", "--free-bits", 0.1), 3, 2, "logistic"),
    ],
    ids=str,
)
def test_a_run_leaves_a_model_that_loads(
    words: tuple[object, ...],
    classes: int | None,
    levels: int,
    likelihood: str,
    data: Path,
    tmp_path: Path,
    genfast_command: Command,
) -> None:
    out = tmp_path / "run"
    said = genfast_command("train", "vae", data, "--out", out, *SMALL, *words)
    assert (said.status, said.err) == (0, "")
    model = genfast.load(out)
    assert isinstance(model, genfast.VAE)
    assert (model.shape, model.levels, model.classes) == ((1, 4, 3), levels, classes)
    assert (model.likelihood, model.latent, model.width) == (likelihood, 3, 9)
    kind = "convolutional" if "convolutional" in words else "mlp"
    assert f"Model: {kind} VAE of 3 latents, " in said.out
    _, held = read_images(data, levels=None if levels == 256 else levels).split(0.1)
    bits = model.bits_per_dim(held.x, None if classes is None else held.labels, importance=5)
    assert model.figures["held_out_bits_per_dim"] == pytest.approx(bits, rel=1e-6)
    assert f"{bits:.3f} bits per dim of the 2 held-out images at most" in said.out
    assert f"genfast sample {out} --num 64 --out grid.png" in said.out


def test_ctrl_c_keeps_the_run_and_resume_ends_it(
    data: Path, tmp_path: Path, genfast_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", "vae", data, *SMALL, "--out"]
    genfast_command(*words, tmp_path / "whole")
    fit = image_training.fit

    def interrupted(*arguments: Any, **options: Any) -> History:
        return fit(*arguments, **options, callbacks=[CtrlC(3)])

    monkeypatch.setattr(image_training, "fit", interrupted)
    said = genfast_command(*words, tmp_path / "run")
    assert said.status == 130
    assert "Kept as step 3 left it" in said.out
    monkeypatch.undo()
    assert genfast_command(*words, tmp_path / "run", "--resume").status == 0
    whole, resumed = (genfast.load(tmp_path / name) for name in ("whole", "run"))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--latent", 0], "latent must be at least 1, got 0"),
        (["--width", 0], "width must be at least 1, got 0"),
        (["--importance", 0], "importance must be at least 1, got 0"),
        (["--beta", -1], "beta must be at least 0, got -1.0"),
        (["--free-bits", "nan"], "free_bits must be at least 0, got nan"),
        (["--likelihood", "bernoulli"], "'bernoulli' needs levels=2"),
        (["--likelihood", "gaussian"], "--likelihood"),
        (["--architecture", "resnet"], "--architecture"),
        (["--levels", 1], "levels must be at least 2, got 1"),
    ],
    ids=str,
)
def test_bad_options(
    words: list[object], message: str, data: Path, tmp_path: Path, refused: Command
) -> None:
    line = refused("train", "vae", data, "--out", tmp_path / "run", *SMALL, *words)
    assert message in line
    assert not (tmp_path / "run").exists()


def save_vae(folder: Path, shape: tuple[int, ...], levels: int | None, **options: Any) -> Any:
    torch.manual_seed(3)
    model = genfast.VAE(shape, levels, latent=3, width=9, depth=1, **options).eval()
    model.save(folder)
    return model


def test_samples_as_an_array_and_as_a_picture(tmp_path: Path, genfast_command: Command) -> None:
    model = save_vae(tmp_path / "model", (1, 4, 3), 7, classes=3)
    words = ("sample", tmp_path / "model", "--num", 8, "--seed", 5, "--index", 1)
    words = (*words, "--temperature", 0.7, "--truncation", 1.5, "--out")
    said = genfast_command(*words, tmp_path / "x.npy")
    assert said.out == f"{tmp_path}/x.npy: 8 images of {tmp_path}/model, seed 5\n"
    classes = torch.arange(1, 9) % 3
    expected = model.sample(
        8, seed=5, index=1, classes=classes, temperature=0.7, truncation=1.5
    )  # fmt: skip
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected.numpy())
    assert genfast_command(*words, tmp_path / "x.png").status == 0
    shown = np.asarray(Image.open(tmp_path / "x.png"))
    assert np.array_equal(shown, grid(expected, None, 3)[..., 0])
    assert genfast_command(*words, tmp_path / "r.npy", "--backend", "reference").status == 0
    assert np.array_equal(np.load(tmp_path / "r.npy"), expected.numpy())


def test_samples_of_numbers_are_an_array(
    tmp_path: Path, genfast_command: Command, refused: Command
) -> None:
    model = save_vae(tmp_path / "model", (5,), None)
    words = ("sample", tmp_path / "model", "--num", 2, "--seed", 1, "--out")
    said = genfast_command(*words, tmp_path / "x.npy")
    assert said.out == f"{tmp_path}/x.npy: 2 samples of {tmp_path}/model, seed 1\n"
    assert np.array_equal(np.load(tmp_path / "x.npy"), model.sample(2, seed=1).numpy())
    line = refused(*words, tmp_path / "x.png")
    assert "a model of real numbers needs --out FILE.npy, got" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top-k", 3], "top_k is no option for a model that draws in one pass, got 3"),
        (["--top-p", 0.5], "top_p is no option for a model that draws in one pass, got 0.5"),
        (["--backend", "cpu"], "backend must be auto, reference or onnx"),
        (["--backend", "cuda"], "backend must be auto, reference or onnx"),
        (["--truncation", 0], "truncation must be above 0"),
        (["--length", 3], "length is no option for a model of latents, got 3"),
        (["--temperature", -1], "temperature must be finite and at least 0, got -1.0"),
        (["--classes", 3], "labels from 0 to 2"),
    ],
    ids=str,
)
def test_bad_options_of_samples(
    words: list[object], message: str, tmp_path: Path, refused: Command
) -> None:
    save_vae(tmp_path / "model", (1, 4, 3), 7, classes=3)
    assert message in refused("sample", tmp_path / "model", "--out", tmp_path / "x.png", *words)


def test_truncation_is_no_option_of_others(tmp_path: Path, refused: Command) -> None:
    genfast.PixelCNN((1, 3, 3), 4, width=4, depth=1).save(tmp_path / "model")
    words = ("sample", tmp_path / "model", "--out", tmp_path / "x.png", "--truncation", 1)
    assert "truncation is no option for a model of images, got 1.0" in refused(*words)


def test_an_autoencoder_has_no_samples(tmp_path: Path, refused: Command) -> None:
    genfast.Autoencoder((1, 4, 3), 7, latent=2).save(tmp_path / "model")
    line = refused("sample", tmp_path / "model", "--out", tmp_path / "x.png")
    assert "Autoencoder has no distribution of latents to draw from" in line
