"""A training killed with -9 at random moments and resumed ends as one that nobody killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

# About three seconds of steps, a checkpoint after each.
_OPTIONS = (
    *("--steps", 150, "--width", 24, "--embedding-width", 6, "--window", 16, "--batch-size", 4),
    *("--evaluate-every", 10, "--checkpoint-every", 0, "--ema", 0.9),
)


def start(text: Path, out: Path) -> subprocess.Popen[str]:
    words = ("train", "sequence", text, "--out", out, *_OPTIONS, "--resume")
    return subprocess.Popen(
        [sys.executable, "-m", "genfast", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the process was there to be killed after so many seconds."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    _, err = process.communicate()
    assert process.returncode in (0, -9), err
    return process.returncode == -9


def wait_for_training(process: subprocess.Popen[str]) -> str:
    """Reads until the line that is printed as training begins; returns it."""
    assert process.stdout is not None
    return next(line for line in process.stdout if line.startswith(("Training", "Going on")))


def check_end(text: Path, out: Path, whole: Path) -> None:
    process = start(text, out)
    said, err = process.communicate()
    assert process.returncode == 0, err
    assert "150 steps in" in said
    ended, expected = (load_file(p / "model.safetensors") for p in (out, whole))
    assert ended.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(ended[name], weight), name
    assert not list(out.glob(".*.partial"))


@pytest.fixture
def whole(text: Path, tmp_path: Path, genfast_command: Callable[..., Any]) -> Path:
    """The run that nobody killed."""
    out = tmp_path / "whole"
    assert genfast_command("train", "sequence", text, "--out", out, *_OPTIONS).status == 0
    return out


def test_killed_while_training(text: Path, whole: Path, tmp_path: Path) -> None:
    chooser, out, kills = random.Random(time.time_ns()), tmp_path / "killed", 0
    for attempt in range(3):
        process = start(text, out)
        line = wait_for_training(process)
        assert line.startswith("Going on" if attempt else "Training")
        kills += kill(process, chooser.uniform(0.0, 0.8))
    assert kills >= 1
    check_end(text, out, whole)


@pytest.mark.slow
def test_killed_fifty_times(text: Path, whole: Path, tmp_path: Path) -> None:
    """At any moment, from before the imports to the last file that is saved.

    A run is killed ten times at most and then goes to its end, as one does that ends unkilled.
    """
    begun = time.perf_counter()
    check_end(text, tmp_path / "timed", whole)
    longest = time.perf_counter() - begun
    chooser, kills, runs = random.Random(time.time_ns()), 0, 0
    while kills < 50:
        out = tmp_path / f"killed{runs}"
        killed = kill(start(text, out), chooser.uniform(0.0, longest))
        kills += killed
        if kills % 10 == 0 or not killed:
            check_end(text, out, whole)
            runs += 1
