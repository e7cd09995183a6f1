"""The command line: what it prints, its exit statuses, and one line for bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

import genfast
from genfast import cli, demo


def test_info_says_what_was_built_and_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from genfast._extension import core

    assert cli.main(["info"]) == 0
    said = capsys.readouterr().out
    lines = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    assert said.startswith(f"genfast {genfast.__version__}, built by ")
    assert lines["instruction sets built"] == ", ".join(core.build_info()["isas"])
    assert lines["used here"].startswith(f"{core.default_isa()} (")
    assert ("not built" in lines["CUDA"]) == (not core.build_info()["cuda"])
    assert "GPUs" in lines
    assert "drawing on a GPU" in lines
    assert lines["threads"].startswith(f"{torch.get_num_threads()} ")
    assert f"torch {torch.__version__}, numpy {np.__version__}" in said
    assert f"safetensors {version('safetensors')}, " in said
    assert f"onnxruntime {version('onnxruntime')}, onnxruntime-gpu not installed" in said


def test_info_follows_the_forced_instruction_set() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "genfast", "info"],
        env={**os.environ, "GENFAST_ISA": "baseline"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "used here: baseline (GENFAST_ISA asks for it)" in run.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [],
            "{demo, demo digits, demo latents, demo gan, train sequence, train pixelcnn, train ",
        ),
        (["paint"], "paint"),
        (["demo", "--seconds", "soon"], "--seconds"),
        (["demo", "--secnds", "3"], "--secnds"),
        (["demo", "--seconds", "-1"], "seconds must be above 0, got -1.0"),
        (["demo", "--seconds", "nan"], "seconds must be above 0, got nan"),
        (["demo", "--width", "0"], "width must be at least 1, got 0"),
        (["demo", "--length", "0"], "length must be at least 1, got 0"),
        (["demo", "--temperature", "0"], "temperature must be above 0, got 0.0"),
        (["demo", "--seed", "-1"], "seed must be at least 0"),
        (["demo", "--text", "/no/such/file"], "/no/such/file"),
        (["demo", "--text", os.devnull], "is empty"),
        (["demo", "--out", os.curdir], "exists already"),
        (["demo", "letters"], "demo letters"),
        (["demo", "digits", "--seconds", "0"], "seconds must be above 0, got 0.0"),
        (["demo", "digits", "--depth", "0"], "depth must be at least 1, got 0"),
        (["demo", "digits", "--temperature", "inf"], "temperature must be above 0, got inf"),
        (["demo", "digits", "--out", os.curdir], "exists already"),
        (["demo", "latents", "--seconds", "0"], "seconds must be above 0, got 0.0"),
        (["demo", "latents", "--latent", "0"], "latent must be at least 1, got 0"),
        (["demo", "latents", "--out", os.curdir], "exists already"),
        (["train"], "train must be followed by what is trained: train sequence, train pixelcnn,"),
        (["train", "--out", "x"], "train must be followed by what is trained"),
        (["sample"], "RUN"),
        (["export", "x"], "NAME"),
        (["sample", "x", "y"], "y"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("genfast: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_text_too_short_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.txt"
    path.write_text("too short")
    assert cli.main(["demo", "--text", str(path)]) == 2
    assert "text must have 2000 characters or more, got 9" in capsys.readouterr().err


def test_ctrl_c_is_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(options: demo.Demo) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", pressed)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "genfast: interrupted\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [(FloatingPointError("step 3"), 1), (RuntimeError("two\nlines"), 1), (ImportError("onnx"), 1)],
    ids=str,
)
def test_other_failures_are_one_line_and_status_1(
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(options: demo.Demo) -> None:
        raise error

    monkeypatch.setattr(demo, "run", fails)
    assert cli.main(["demo"]) == status
    assert capsys.readouterr().err == f"genfast: {' '.join(str(error).split())}\n"


@pytest.mark.parametrize(
    "words", [["demo"], ["demo", "digits"], ["train", "sequence"], ["train", "pixelcnn"]]
)
def test_help_of_commands_of_two_words(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--help"]) == 0
    assert f"usage: genfast {' '.join(words)} [-h]" in capsys.readouterr().out


def test_help_of_train_shows_what_can_be_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    assert "train sequence" in said
    assert "train pixelcnn" in said


def test_help_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--seconds" in said
    assert f"default: {demo.Demo().seconds}" in said


def test_module_is_the_command_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "genfast", "demo", "--seed", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("genfast: ")
    assert "Traceback" not in run.stderr
