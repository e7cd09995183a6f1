"""`genfast train sequence`: what it leaves, what it goes on with, and what it refuses."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pressing import CtrlC

import genfast
from genfast.commands import train
from genfast.data import Bytes, Vocabulary
from genfast.training import History

Command = Callable[..., Any]

SMALL = (
    *("--steps", 20, "--width", 12, "--embedding-width", 6, "--window", 16, "--batch-size", 4),
    *("--evaluate-every", 10),
)


@pytest.mark.parametrize("symbols", ["characters", "bytes"])
def test_a_run_leaves_a_model_that_loads(
    symbols: str, text: Path, tmp_path: Path, genfast_command: Command
) -> None:
    out = tmp_path / "run"
    said = genfast_command("train", "sequence", text, "--out", out, *SMALL, "--symbols", symbols)
    assert said.status == 0
    assert said.err == ""
    model = genfast.load(out)
    content = text.read_text()
    assert model.symbols == (Bytes() if symbols == "bytes" else Vocabulary.of(content))
    unit = symbols.removesuffix("s")
    bits = model.figures[f"held_out_bits_per_{unit}"]
    assert f"{bits:.3f} bits per {unit} of the held-out text (204 {unit}s)" in said.out
    assert model.figures["steps"] == 20
    log = list(csv.DictReader((out / "log.csv").read_text().splitlines()))
    measured = [int(row["step"]) for row in log if row["held_out_loss"]]
    assert (len(log), measured) == (20, [10, 20])
    assert f"genfast sample {out}" in said.out
    assert f"genfast export {out} NAME" in said.out
    assert {"checkpoint.pt", "log.csv", "run.json"} <= {p.name for p in out.iterdir()}


def test_bits_are_those_of_the_whole_held_out_text(
    text: Path, tmp_path: Path, genfast_command: Command
) -> None:
    genfast_command("train", "sequence", text, "--out", tmp_path / "run", *SMALL)
    model = genfast.load(tmp_path / "run")
    held = model.symbols.encode(text.read_text())[-204:]
    cut = list(held.split(26))  # as eight rows are cut
    with torch.no_grad():
        nats = -sum(model.log_prob(row[None]).double().item() for row in cut)
    bits = nats / math.log(2) / 204
    assert model.figures["held_out_bits_per_character"] == pytest.approx(bits, rel=1e-5)


def test_files_are_joined_in_order(text: Path, tmp_path: Path, genfast_command: Command) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Zebras!")
    genfast_command("train", "sequence", other, text, "--out", tmp_path / "run", *SMALL)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data_bytes"] == 7 + text.stat().st_size
    assert "Z" in genfast.load(tmp_path / "run").symbols.characters


def test_the_same_words_give_the_same_weights(
    text: Path, tmp_path: Path, genfast_command: Command
) -> None:
    for name in ("a", "b"):
        genfast_command("train", "sequence", text, "--out", tmp_path / name, *SMALL)
    genfast_command("train", "sequence", text, "--out", tmp_path / "c", *SMALL, "--seed", 1)
    a, b, c = (genfast.load(tmp_path / name).state_dict() for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any(torch.equal(a[name], c[name]) for name in a)


def test_ctrl_c_keeps_the_run_and_resume_ends_it(
    text: Path,
    tmp_path: Path,
    genfast_command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["train", "sequence", text, "--out", tmp_path / "run", *SMALL]
    genfast_command("train", "sequence", text, "--out", tmp_path / "whole", *SMALL)
    fit = train.fit

    def interrupted(*arguments: Any, **options: Any) -> History:
        return fit(*arguments, **options, callbacks=[CtrlC(7)])

    monkeypatch.setattr(train, "fit", interrupted)
    said = genfast_command(*words)
    assert said.status == 130
    assert "Kept as step 7 left it; the same command with --resume goes on." in said.out
    assert said.err == "genfast: interrupted\n"
    monkeypatch.undo()
    said = genfast_command(*words, "--resume")
    assert said.status == 0
    assert f"Going on with {tmp_path}/run: 20 steps" in said.out
    whole, resumed = (genfast.load(tmp_path / name) for name in ("whole", "run"))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])
    assert whole.figures.keys() == resumed.figures.keys()


@pytest.fixture
def run(text: Path, tmp_path: Path, genfast_command: Command) -> Path:
    assert genfast_command("train", "sequence", text, "--out", tmp_path / "run", *SMALL).status == 0
    return tmp_path / "run"


def test_a_run_that_is_there_is_left_alone(run: Path, text: Path, refused: Command) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    line = refused("train", "sequence", text, "--out", run, *SMALL)
    assert f"{run} exists already" in line
    assert "--resume" in line
    assert {path: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", 13], "width was 12, got 13"),
        (["--seed", 1, "--cell", "gru"], "cell was lstm, got gru; seed was 0, got 1"),
        (["--ema", 0.9], "ema was null, got 0.9"),
    ],
    ids=str,
)
def test_resume_refuses_other_options(
    words: list[object], message: str, run: Path, text: Path, refused: Command
) -> None:
    line = refused("train", "sequence", text, "--out", run, *SMALL, *words, "--resume")
    assert f"--resume must repeat what {run}/run.json says; {message}\n" in line


def test_resume_refuses_another_text(run: Path, text: Path, refused: Command) -> None:
    """Of the same length, too."""
    text.write_text(text.read_text()[::-1])
    line = refused("train", "sequence", text, "--out", run, *SMALL, "--resume")
    assert "data was 2040 bytes of sha256" in line


def test_resume_takes_the_same_text_from_elsewhere(
    run: Path, text: Path, genfast_command: Command
) -> None:
    moved = text.rename(text.with_name("moved.txt"))
    weights = (run / "model.safetensors").read_bytes()
    words = ("--resume", "--checkpoint-every", 5)
    assert genfast_command("train", "sequence", moved, "--out", run, *SMALL, *words).status == 0
    assert (run / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1}', "\0"])
def test_a_damaged_record(content: str, run: Path, text: Path, refused: Command) -> None:
    (run / "run.json").write_text(content)
    line = refused("train", "sequence", text, "--out", run, *SMALL, "--resume")
    assert "run.json is no record of a run; is it damaged?" in line


def test_resume_does_not_take_over_another_folder(
    text: Path, tmp_path: Path, refused: Command
) -> None:
    line = refused("train", "sequence", text, "--out", tmp_path, *SMALL, "--resume")
    assert f"{tmp_path} holds no run to go on with, but text.txt" in line


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"a", "a window of 16 symbols beside the 1 held out, got 1"),
        (b"a" * 16, "a window of 16 symbols beside the 2 held out, got 16"),
        (b"abc\0def" * 99, "got a zero byte: is it a binary file?"),
        (b"abc\xff" * 99, "must be UTF-8 text, got byte 0xff at position 3"),
        (None, "No such file"),
    ],
    ids=["empty", "one character", "short", "binary", "not UTF-8", "missing"],
)
def test_bad_texts(raw: bytes | None, message: str, tmp_path: Path, refused: Command) -> None:
    text = tmp_path / "text.txt"
    if raw is not None:
        text.write_bytes(raw)
    assert message in refused("train", "sequence", text, "--out", tmp_path / "run", *SMALL)
    assert not (tmp_path / "run").exists()


def test_a_folder_is_no_text(tmp_path: Path, refused: Command) -> None:
    line = refused("train", "sequence", tmp_path, "--out", tmp_path / "run", *SMALL)
    assert f"Is a directory: '{tmp_path}'" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", 0], "width must be at least 1, got 0"),
        (["--depth", -1], "depth must be at least 1, got -1"),
        (["--steps", 0], "steps must be at least 1, got 0"),
        (["--seconds", "nan"], "seconds must be above 0, got nan"),
        (["--lr", 0], "lr must be above 0, got 0.0"),
        (["--held-out", 1], "held_out must be inside (0, 1), got 1.0"),
        (["--held-out", 0], "held_out must be inside (0, 1), got 0.0"),
        (["--dropout", 1], "dropout must be at least 0 and below 1, got 1.0"),
        (["--ema", 1.5], "ema must be inside (0, 1), got 1.5"),
        (["--patience", 0], "patience must be at least 1, got 0"),
        (["--accumulate", 0], "accumulate must be at least 1, got 0"),
        (["--checkpoint-every", -1], "checkpoint_every must be at least 0, got -1"),
        (["--seed", 2**63], "seed must be at least 0 and below 2**63"),
        (["--cell", "rnn"], "--cell"),
        (["--symbols", "words"], "--symbols"),
    ],
    ids=str,
)
def test_bad_options(
    words: list[object], message: str, text: Path, tmp_path: Path, refused: Command
) -> None:
    line = refused("train", "sequence", text, "--out", tmp_path / "run", *SMALL, *words)
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_device_that_is_not_there(
    text: Path, tmp_path: Path, refused: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ("train", "sequence", text, "--out", tmp_path / "run", "--device", "cuda")
    assert "device must be one that torch sees, got cuda" in refused(*words)


def test_no_file_and_no_out(text: Path, tmp_path: Path, refused: Command) -> None:
    assert "at least one text file" in refused("train", "sequence", "--out", tmp_path / "run")
    assert "--out" in refused("train", "sequence", text)
    assert "train must be followed by what is trained" in refused("train")
    assert "train picture" in refused("train", "picture", text)


def test_a_file_in_the_place_of_the_run(text: Path, refused: Command) -> None:
    assert "exists already" in refused("train", "sequence", text, "--out", text, *SMALL)
    below = text / "run"
    assert "Not a directory" in refused("train", "sequence", text, "--out", below, *SMALL)
