"""What the README shows is true: its examples run, its commands exist, its paths are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

import genfast

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(word: str) -> str:
    """The one Python block that has this word."""
    (found,) = (code for code in blocks("python") if word in code)
    return found


def run(code: str) -> dict[str, object]:
    scope: dict[str, object] = {"torch": torch, "genfast": genfast}
    exec(compile(code, "README.md", "exec"), scope)
    return scope


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line as it stands there, with this Python's `genfast` and `torchrun` on the path."""
    here = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(folder / "bin"), str(here), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",  # threads that wait for each other are slow beside other tests
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command of the walk printed, run in one folder; "folder" is that.

    Those of a block run in order, two blocks beside each other.
    """
    folder = tmp_path_factory.mktemp("walk")
    (folder / "bin").mkdir()
    command = folder / "bin" / "genfast"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genfast "$@"\n')
    command.chmod(0o755)
    shutil.copy(ROOT / "README.md", folder)

    def run_block(lines: str) -> dict[str, str]:
        said = {}
        for line in lines.splitlines():
            done = shell(line, folder)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            assert "Traceback" not in done.stderr
            said[line] = done.stdout
        return said

    said = {"folder": str(folder)}
    with ThreadPoolExecutor(2) as pool:
        for printed in pool.map(run_block, blocks("sh")[1:]):
            said |= printed
    return said


@pytest.fixture
def in_walk(walk: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(walk["folder"])
    return Path(walk["folder"])


def test_every_block_is_run_here() -> None:
    """The first shell block installs and is run by .ci/run; a new block needs a test of its own."""
    assert len(blocks("sh")) == 5
    assert len(blocks("python")) == 8


def test_commands_of_the_walk_say_what_they_did(walk: dict[str, str]) -> None:
    images, one_pass, texts, several = (
        [walk[line] for line in shown.splitlines()] for shown in blocks("sh")[1:]
    )
    digits, grid, exported = images
    assert "bits per dim of the 180 held-out images" in digits
    assert grid == "grid.png: 64 images of runs/digits, seed 0\n"
    assert "digits/1/model.onnx" in exported
    vae, vae_grid, gan, gan_grid, exported = one_pass
    assert "bits per dim of the 180 held-out images" in vae
    assert vae_grid == "vae.png: 64 images of runs/vae, seed 0\n"
    assert "steps in" in gan
    assert gan_grid == "gan.png: 64 images of runs/gan, seed 0\n"
    assert "digits_vae_encoder/1/model.onnx" in exported
    train, again, sample, exported, onnx = texts
    assert "200 steps in" in train
    assert "bits per character of the held-out text" in train
    assert "Going on with runs/readme" in again
    assert sample.startswith("The ")
    assert len(sample) == 4 + 500 + 1
    assert "model.onnx" in exported
    assert len(onnx) == 500 + 1
    (torchrun,) = several
    assert "on 2 processes, each on 1 thread." in torchrun
    assert torchrun.count("20 steps in") == 1


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # ten lines close nothing
def test_the_exported_sampler_draws_what_the_run_draws(
    in_walk: Path, walk: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    model = genfast.load("runs/readme")
    (onnx,) = (said for line, said in walk.items() if "--backend onnx" in line)
    drawn = model.sample(1, 500, seed=0).values[0]
    assert model.symbols.decode(drawn) + "\n" == onnx
    run(block("InferenceSession("))
    rows = [(0, 5, "", 200, 0.8), (7, 0, "T", 80, 0.5)]
    expected = [
        model.symbols.decode(
            model.sample(
                1,
                length,
                seed=seed,
                index=index,
                temperature=temperature,
                prompt=model.symbols.encode(prompt)[None],
            ).values[0]
        )
        for seed, index, prompt, length, temperature in rows
    ]
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in expected)


def test_the_runtime_draws_and_streams(in_walk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(block("from genfast.runtime"))
    model = genfast.load("runs/readme")
    drawn = model.sample(1, 200, seed=0, temperature=0.8).values[0]
    streamed = model.sample(1, 80, seed=0).values[0]
    text = f"{model.symbols.decode(drawn)}\n{model.symbols.decode(streamed)}"
    assert capsys.readouterr().out == text


def test_images_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own asserts hold: alone as in a batch, and completed as it was drawn."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    run(block("PixelCNN("))


def test_one_pass_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    scope = run(block("VAE(shape="))
    assert {p.name for p in tmp_path.iterdir()} == {"small", "small_decoder", "small_encoder"}
    assert scope["table"].shape == (5, 10, 1, 8, 8)  # type: ignore[attr-defined]
    assert scope["between"].shape == (1, 8, 1, 8, 8)  # type: ignore[attr-defined]


def test_networks_of_one_s_own(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    scope = run(block("def network("))
    assert scope["model"].own == ("generator", "discriminator")  # type: ignore[attr-defined]
    assert "tensor(" in capsys.readouterr().out
    assert scope["coder"].sample(3, seed=0).shape == (3, 2)  # type: ignore[attr-defined]


def test_the_grid_is_a_picture(in_walk: Path) -> None:
    with Image.open("grid.png") as grid:
        assert min(grid.size) >= 8 * 8


def test_from_python(in_walk: Path) -> None:
    """Twice: the run in `out` is gone on with, and the folders are written again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        scope = run(block("read_symbols"))
    finally:
        torch.set_num_threads(threads)
    model = scope["model"]
    assert isinstance(model, genfast.SequenceModel)
    assert not model.training
    assert {p.name for p in Path("runs/python").iterdir()} >= {"checkpoint.pt", "model.safetensors"}


def test_the_folders_hold_what_is_said(in_walk: Path) -> None:
    listed = README.split("\n## Files")[1].split("```")[1]
    folder = ""
    for line in listed.strip().splitlines():
        start, *words = re.split(r"\s{2,}", f" {line}" if line.startswith(" ") else line)
        folder = start.strip() or folder
        names = [word for word in words if re.fullmatch(r"[\w/]+\.\w+", word)]
        assert names
        for name in names:
            assert (in_walk / folder / name).is_file(), f"{folder}{name}"


def test_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own asserts hold; away from the checkout, where fit may write."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    run(block("the very sample"))


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_equivalent_to(temperature: float) -> None:
    """The loop of the README draws what the compiled core and the reference draw."""
    scope = run(block("def sample("))
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
