"""`genfast export`: the folders it writes, what draws from them, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import genfast
from genfast.runtime import Sampler

Command = Callable[..., Any]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_exported_folder_draws_what_the_model_draws(
    characters: Path, tmp_path: Path, genfast_command: Command
) -> None:
    """By the library, by ONNX Runtime, and by both through the command line."""
    name = tmp_path / "sampler"
    said = genfast_command("export", characters, name)
    assert said.status == 0
    assert said.err == ""
    assert "model.onnx" in said.out
    assert names(tmp_path) == {"characters", "sampler", "sampler_step"}
    drawn = genfast.load(characters).sample(2, 30, seed=4).values
    assert torch.equal(genfast.load(name).sample(2, 30, seed=4).values, drawn)
    assert torch.equal(torch.from_numpy(Sampler(name).sample(2, 30, seed=4).values), drawn)
    words = ("--length", 30, "--seed", 4, "--num", 2, "--prompt", "the ")
    shown = genfast_command("sample", characters, *words)
    assert shown.status == 0
    assert genfast_command("sample", name, *words) == shown
    assert genfast_command("sample", name, *words, "--backend", "onnx") == shown
    genfast_command("sample", name, *words, "--backend", "onnx", "--out", tmp_path / "out")
    assert (tmp_path / "out").read_text() + "\n" == shown.out


def test_options_reach_the_graph(
    characters: Path, tmp_path: Path, genfast_command: Command
) -> None:
    name = tmp_path / "sampler"
    words = ("--top-k", 3, "--top-p", "input", "--stop", ".", "--no-step", "--uniforms")
    assert genfast_command("export", characters, name, *words).status == 0
    assert names(tmp_path) == {"characters", "sampler", "sampler_uniforms"}
    model = genfast.load(characters)
    stop = int(model.symbols.encode(".")[0])
    ours = model.sample(5, 60, seed=4, top_k=3, top_p=0.7, stop=stop)
    theirs = Sampler(name).sample(5, 60, seed=4, top_p=0.7)
    assert torch.equal(torch.from_numpy(theirs.values), ours.values)
    assert torch.equal(torch.from_numpy(theirs.lengths), ours.lengths)


def test_a_graph_that_was_changed_is_not_run(
    characters: Path, tmp_path: Path, genfast_command: Command, refused: Command
) -> None:
    name = tmp_path / "sampler"
    genfast_command("export", characters, name)
    graph = name / "1" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    line = refused("sample", name, "--backend", "onnx", "--seed", 1)
    assert str(graph) in line
    assert genfast_command("sample", name, "--seed", 1).status == 0


@pytest.mark.parametrize("there", ["sampler", "sampler_step"])
def test_what_is_there_is_left_alone(
    there: str, characters: Path, tmp_path: Path, refused: Command
) -> None:
    (tmp_path / there).mkdir()
    (tmp_path / there / "mine").write_text("kept")
    line = refused("export", characters, tmp_path / "sampler")
    assert f"{tmp_path / there} exists already" in line
    assert names(tmp_path) == {"characters", there}


def test_a_file_in_the_place_of_the_folder(
    characters: Path, tmp_path: Path, text: Path, refused: Command
) -> None:
    assert "exists already" in refused("export", characters, text)
    assert str(text) in refused("export", characters, text / "below")


def test_no_model(tmp_path: Path, characters: Path, refused: Command) -> None:
    name = tmp_path / "sampler"
    assert f"no folder {tmp_path}/missing" in refused("export", tmp_path / "missing", name)
    weights = characters / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "model.safetensors" in refused("export", characters, name)
    assert names(tmp_path) == {"characters"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top-k", -1], "top_k"),
        (["--top-k", "some"], "--top-k"),
        (["--top-p", 2], "top_p"),
        (["--top-p", "nan"], "top_p"),
        (["--stop", "the"], "stop: must be one symbol, got 3"),
        (["--stop", "☃"], "stop: encode: text must use"),
    ],
    ids=str,
)
def test_bad_options(
    words: list[object], message: str, characters: Path, tmp_path: Path, refused: Command
) -> None:
    assert message in refused("export", characters, tmp_path / "sampler", *words)
    assert names(tmp_path) == {"characters"}
