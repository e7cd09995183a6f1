"""`genfast sample` and `export` of models of images: pictures and arrays of what is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genfast
from genfast.data import grid

Command = Callable[..., Any]


def save_images(folder: Path, classes: int | None, c: int = 1) -> genfast.PixelCNN:
    torch.manual_seed(3)
    model = genfast.PixelCNN((c, 3, 4), 6, width=7, depth=2, classes=classes).eval()
    with torch.no_grad():  # so that labels and pixels matter
        for weight in model.parameters():
            weight.mul_(2)
    model.save(folder)
    return model


@pytest.fixture
def labelled(tmp_path: Path) -> genfast.PixelCNN:
    """Saved as `model` in the temporary folder; three classes."""
    return save_images(tmp_path / "model", 3)


def test_an_array_holds_what_the_model_draws(
    labelled: genfast.PixelCNN, tmp_path: Path, genfast_command: Command
) -> None:
    words = ("--num", 7, "--seed", 5, "--index", 2, "--temperature", 0.7, "--top-k", 4)
    words = (*words, "--top-p", 0.9, "--classes", "2,0")
    out = tmp_path / "x.npy"
    said = genfast_command("sample", tmp_path / "model", *words, "--out", out)
    assert (said.status, said.err) == (0, "")
    assert said.out == f"{out}: 7 images of {tmp_path}/model, seed 5\n"
    expected = labelled.sample(
        7,
        seed=5,
        index=2,
        classes=torch.tensor([2, 0, 2, 0, 2, 0, 2]),
        temperature=0.7,
        top_k=4,
        top_p=0.9,
    )
    assert np.array_equal(np.load(out), expected.numpy())


def test_a_part_of_the_samples_is_the_same(
    labelled: genfast.PixelCNN, tmp_path: Path, genfast_command: Command
) -> None:
    """Its labels, too: they go by the index."""
    for index, num in ((0, 6), (2, 3)):
        words = ("--seed", 5, "--num", num, "--index", index, "--out", tmp_path / f"{index}.npy")
        genfast_command("sample", tmp_path / "model", *words)
    assert np.array_equal(np.load(tmp_path / "0.npy")[2:5], np.load(tmp_path / "2.npy"))


@pytest.mark.parametrize(
    ("words", "columns"),
    [((), 3), (("--classes", "1"), 3), (("--classes", "0,2"), 2), (("--num", 2), 2)],
    ids=str,
)
def test_a_picture_has_a_class_a_column(
    words: tuple[object, ...],
    columns: int,
    labelled: genfast.PixelCNN,
    tmp_path: Path,
    genfast_command: Command,
) -> None:
    options = ("sample", tmp_path / "model", "--num", 8, "--seed", 5, *words, "--out")
    assert genfast_command(*options, tmp_path / "x.npy").status == 0
    assert genfast_command(*options, tmp_path / "x.png").status == 0
    drawn = torch.from_numpy(np.load(tmp_path / "x.npy"))
    shown = np.asarray(Image.open(tmp_path / "x.png"))
    assert np.array_equal(shown, grid(drawn, labelled.levels, columns)[..., 0])


@pytest.mark.parametrize("c", [1, 3])
def test_without_labels(c: int, tmp_path: Path, genfast_command: Command, refused: Command) -> None:
    model = save_images(tmp_path / "model", None, c)
    words = ("sample", tmp_path / "model", "--num", 5, "--seed", 1, "--out", tmp_path / "x.png")
    assert genfast_command(*words).status == 0
    shown = np.asarray(Image.open(tmp_path / "x.png"))
    expected = grid(model.sample(5, seed=1), model.levels, 3)
    assert np.array_equal(shown.reshape(expected.shape), expected)
    assert "classes must be left out" in refused(*words, "--classes", "1")


def test_a_chosen_seed_is_told_and_draws_again(
    labelled: genfast.PixelCNN, tmp_path: Path, genfast_command: Command
) -> None:
    words = ("sample", tmp_path / "model", "--num", 3, "--out")
    said = genfast_command(*words, tmp_path / "a.npy")
    genfast_command(*words, tmp_path / "b.npy", "--seed", said.out.split()[-1])
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    genfast_command(*words, tmp_path / "c.npy")
    assert not np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "c.npy"))


def test_an_exported_folder_draws_the_same(
    labelled: genfast.PixelCNN, tmp_path: Path, genfast_command: Command
) -> None:
    said = genfast_command("export", tmp_path / "model", tmp_path / "sampler")
    assert (said.status, said.err) == (0, "")
    words = ("--num", 5, "--seed", 4, "--classes", "2,1", "--out")
    for folder, backend in (("model", "auto"), ("sampler", "cpu"), ("sampler", "onnx")):
        options = (*words, tmp_path / f"{folder}-{backend}.npy", "--backend", backend)
        assert genfast_command("sample", tmp_path / folder, *options).status == 0
    drawn = np.load(tmp_path / "model-auto.npy")
    assert np.array_equal(np.load(tmp_path / "sampler-cpu.npy"), drawn)
    assert np.array_equal(np.load(tmp_path / "sampler-onnx.npy"), drawn)


def test_an_exported_mixture_draws_the_same(
    tmp_path: Path, genfast_command: Command, refused: Command
) -> None:
    torch.manual_seed(5)
    head = genfast.heads.LogisticMixture(64, 3, 3)
    model = genfast.PixelCNN((3, 4, 5), 64, width=7, depth=2, head=head).eval()
    model.save(tmp_path / "model")
    said = genfast_command("export", tmp_path / "model", tmp_path / "sampler")
    assert (said.status, said.err) == (0, "")
    words = ("--num", 4, "--seed", 3, "--temperature", 0.7, "--backend", "onnx", "--out")
    assert genfast_command("sample", tmp_path / "sampler", *words, tmp_path / "x.npy").status == 0
    expected = model.sample(4, seed=3, temperature=0.7).numpy()
    assert np.array_equal(np.load(tmp_path / "x.npy"), expected)
    line = refused("export", tmp_path / "model", tmp_path / "other", "--top-k", 3)
    assert "top_k must be off for the head LogisticMixture(64, 3, 3), got 3" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs --out FILE.png or FILE.npy, got None"),
        (["--out", "x.jpg"], "needs --out FILE.png or FILE.npy, got x.jpg"),
        (["--out", "/no/such/folder/x.png"], "/no/such/folder"),
        (["--out", "x.png", "--classes", "3"], "labels from 0 to 2 with commas between, got '3'"),
        (["--out", "x.png", "--classes", "1,,2"], "labels from 0 to 2"),
        (["--out", "x.png", "--classes=-1"], "labels from 0 to 2"),
        (["--out", "x.png", "--classes", "a"], "labels from 0 to 2"),
        (["--out", "x.png", "--prompt", "the"], "prompt is no option for a model of images"),
        (["--out", "x.png", "--length", 5], "length is no option for a model of images, got 5"),
        (["--out", "x.png", "--stop", "."], "stop is no option for a model of images"),
        (["--out", "x.png", "--num", 0], "num must be at least 1, got 0"),
        (["--out", "x.png", "--temperature", -1], "temperature"),
        (["--out", "x.png", "--index", -1], "index"),
        (["--out", "x.png", "--backend", "onnx"], "config.json"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("labelled")
def test_bad_options(
    words: list[object],
    message: str,
    tmp_path: Path,
    refused: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused("sample", tmp_path / "model", *words)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_options_of_images_are_none_of_text(characters: Path, refused: Command) -> None:
    assert "classes is no option for a model of text" in refused(
        "sample", characters, "--classes", "1"
    )


@pytest.mark.usefixtures("labelled")
def test_export_has_no_stop(tmp_path: Path, refused: Command) -> None:
    line = refused("export", tmp_path / "model", tmp_path / "sampler", "--stop", "1")
    assert "stop is no option for a model of images" in line
