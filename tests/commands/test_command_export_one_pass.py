"""`genfast export` of models of one pass, and `genfast sample --backend onnx` of what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genfast

Command = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a VAE of images under labels."""
    torch.manual_seed(0)
    genfast.VAE((1, 4, 4), 5, latent=3, classes=2, width=8).save(tmp_path / "run")
    return tmp_path / "run"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_exports_and_draws(run: Path, tmp_path: Path, genfast_command: Command) -> None:
    name = tmp_path / "vae"
    said = genfast_command("export", run, name)
    assert (said.status, said.err) == (0, "")
    assert "vae_encoder/1/model.onnx" in said.out
    assert "off by at most" in said.out
    assert names(tmp_path) == {"run", "vae", "vae_decoder", "vae_encoder"}
    words = ("--num", 5, "--seed", 3, "--temperature", 0.7, "--out")
    for backend, out in (("auto", "a.npy"), ("onnx", "b.npy")):
        said = genfast_command("sample", name, *words, tmp_path / out, "--backend", backend)
        assert said.status == 0, said.err
    ours, theirs = (np.load(tmp_path / out) for out in ("a.npy", "b.npy"))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    genfast_command("sample", name, *words, tmp_path / "c.png", "--backend", "onnx")
    assert (tmp_path / "c.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top-k", 3], "top_k must be left out for a VAE"),
        (["--top-p", "input"], "top_p must be left out for a VAE"),
        (["--stop", "a"], "stop must be left out for a VAE"),
        (["--uniforms"], "uniforms must be left out for a VAE"),
    ],
    ids=str,
)
def test_options_of_other_models(
    words: list[object], message: str, run: Path, tmp_path: Path, refused: Command
) -> None:
    assert message in refused("export", run, tmp_path / "vae", *words)
    assert names(tmp_path) == {"run"}


@pytest.mark.parametrize("there", ["vae", "vae_decoder", "vae_encoder"])
def test_what_is_there_is_left_alone(
    there: str, run: Path, tmp_path: Path, refused: Command
) -> None:
    (tmp_path / there).mkdir()
    (tmp_path / there / "mine").write_text("kept")
    assert f"{tmp_path / there} exists already" in refused("export", run, tmp_path / "vae")
    assert names(tmp_path) == {"run", there}
