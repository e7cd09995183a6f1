"""A virtual environment of numpy and onnxruntime alone draws what the library draws."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exports import MOST_ARE_EQUAL, agree, exported_model, mixed

import genfast

ROOT = Path(__file__).resolve().parents[2]
UNREACHABLE = re.compile("new connection|No matching distribution|Could not fetch|timed out", re.I)

#: Draws and streams a mixed batch, and says which modules it has.
READER = """
import sys
import numpy as np
from itertools import islice
from genfast.runtime import Sampler

given = dict(np.load("given.npz"))
sampler = Sampler("sampler", threads=1)
drawn = sampler.sample(len(given["seed"]), **given)
given.pop("length")
streamed = np.stack(list(islice(sampler.stream(len(given["seed"]), **given), 300)), 1)
np.savez("drawn.npz", values=drawn.values, lengths=drawn.lengths, streamed=streamed)
print([name for name in ("torch", "genfast._core", "genfast.random") if name in sys.modules])
"""


def ten_lines() -> str:
    """The README's script for readers who have neither genfast nor PyTorch."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if "InferenceSession(" in block]
    assert len(found) == 1, "README.md must have one script with an InferenceSession"
    return found[0]


def fed(script: str, folder: Path) -> dict[str, np.ndarray]:
    """What the script gives to the graph."""
    scope: dict[str, Any] = {"print": lambda *_: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(script, "README.md", "exec"), scope)
    found: dict[str, np.ndarray] = scope["feeds"]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the export lies, as `sampler`."""
    path = tmp_path_factory.mktemp("alone")
    genfast.export(exported_model(), path / "sampler")
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a script in a virtual environment of numpy and onnxruntime; returns what it printed."""
    home = tmp_path_factory.mktemp("venv")
    python = home / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-compile", "-q"]
    install += ["-c", ROOT / "constraints.txt", "numpy", "onnxruntime"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0 and UNREACHABLE.search(done.stderr):
        pytest.skip("pip reaches no index")
    assert done.returncode == 0, done.stderr
    # The package alone: beside an installed one lies the PyTorch that must be out of reach.
    (home / "source").mkdir()
    (home / "source" / "genfast").symlink_to(Path(genfast.__file__).parent)

    def run(script: str, folder: Path, *, genfast_too: bool) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"PYTHONPATH": str(home / "source")} if genfast_too else {}
        environment["PYTHONIOENCODING"] = "utf-8"
        command = [python, *(["-W", "error"] if genfast_too else []), "-c", script]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_neither_genfast_nor_torch_is_there(alone: Callable[..., str], folder: Path) -> None:
    code = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
    said = alone(code.format(["torch", "genfast", "onnx", "numpy"]), folder, genfast_too=False)
    assert said == "['numpy']\n"


def test_ten_lines_draw_the_library_s_samples(
    alone: Callable[..., str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ten_lines()
    assert sum(bool(line.strip()) for line in script.splitlines()) <= 10
    said = alone(script, folder, genfast_too=False)
    feeds = fed(script, folder)
    columns = {name: feeds[name][:, 0] for name in feeds if name != "prompt"}
    texts = said.removesuffix("\n").split("\n")
    drawn = [exported_model().symbols.encode(text).numpy() for text in texts]
    assert [len(row) for row in drawn] == columns["length"].tolist()
    columns["prompt_lengths"] = columns.pop("prompt_length")
    given = columns | {"prompt": feeds["prompt"]}
    report(capsys, "the ten lines", drawn, given)


def test_the_runtime_draws_the_library_s_samples(
    alone: Callable[..., str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = mixed(24)
    np.savez(folder / "given.npz", **given)
    assert alone(READER, folder, genfast_too=True) == "[]\n"
    found = np.load(folder / "drawn.npz")
    rows = [row[:length] for row, length in zip(found["values"], found["lengths"], strict=True)]
    assert found["lengths"].tolist() == given["length"].tolist()
    report(capsys, "Sampler.sample", rows, given)
    endless = given | {"length": np.full(len(rows), found["streamed"].shape[1])}
    report(capsys, "Sampler.stream", list(found["streamed"]), endless)


def test_one_pass_draws_the_library_s_samples(alone: Callable[..., str], tmp_path: Path) -> None:
    model = genfast.VAE((1, 5, 4), 3, latent=4, classes=2, width=9).eval()
    genfast.export(model, tmp_path / "vae")
    script = (
        "import numpy as np, sys; from genfast.runtime import Sampler; "
        "drawn = Sampler('vae').sample(5, seed=3, classes=[0, 1, 1, 0, 1], truncation=1.5); "
        "np.save('drawn.npy', drawn.values); print('torch' in sys.modules)"
    )
    assert alone(script, tmp_path, genfast_too=True) == "False\n"
    wanted = model.sample(5, seed=3, classes=torch.tensor([0, 1, 1, 0, 1]), truncation=1.5)
    np.testing.assert_allclose(np.load(tmp_path / "drawn.npy"), wanted, rtol=0, atol=1e-4)


def report(
    capsys: pytest.CaptureFixture[str],
    what: str,
    rows: list[np.ndarray],
    given: dict[str, np.ndarray],
) -> None:
    """Holds what was drawn against the library, and says how much of it is the very same."""
    share = agree(exported_model(), rows, given)
    with capsys.disabled():
        print(f"\n{what}: {share:.1%} of {len(rows)} samples equal the library's")
    assert share >= MOST_ARE_EQUAL
