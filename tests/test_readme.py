"""What the README shows is true: its examples run, its commands exist, its paths are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

import genfast

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own asserts hold; away from the checkout, where fit may write."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(blocks("python")[0], "README.md", "exec"), {})


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_equivalent_to(temperature: float) -> None:
    """The loop of the README draws what the compiled core and the reference draw."""
    scope: dict[str, object] = {"torch": torch, "genfast": genfast}
    exec(compile(blocks("python")[1], "README.md", "exec"), scope)
    torch.manual_seed(1)
    model = genfast.SequenceModel(genfast.heads.Categorical(17), width=33).eval()
    with torch.no_grad():
        drawn = scope["sample"](model, 5, 12, seed=3, temperature=temperature)  # type: ignore[operator]
    for backend in ("cpu", "reference"):
        ours = model.sample(5, 12, seed=3, temperature=temperature, backend=backend)
        assert ours.values.equal(drawn)


@pytest.mark.parametrize("extra", ["demo", "test"])
def test_commands_are_what_ci_extracts(extra: str) -> None:
    command = [ROOT / ".ci" / "readme_command.sh", extra]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() in blocks("sh")[0].splitlines()


def test_paths_exist() -> None:
    section = README.split("## How a call reaches its kernel")[1].split("\n## ")[0]
    named = re.findall(r"`([\w/]+(?:\.py|\.h|/)|csrc/\w+)`", section)
    assert len(named) == 7
    for name in named:
        places = (ROOT / name, ROOT / "python" / "genfast" / name, ROOT / "csrc" / "cpu" / name)
        assert any(place.exists() for place in places), name
