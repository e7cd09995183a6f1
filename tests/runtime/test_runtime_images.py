"""Images drawn with NumPy and ONNX Runtime alone: what the library draws, and bad arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genfast
from genfast.models.pixelcnn import PixelCNN
from genfast.runtime import Sampler

#: Draws without PyTorch, and says which modules it has.
READER = """
import sys
sys.modules.update(dict.fromkeys(("torch", "jaxtyping", "onnx", "genfast._core")))
import numpy as np
from genfast.runtime import Sampler

told = dict(np.load("told.npz"))
given = told.pop("image"), told.pop("mask")
sampler = Sampler("digits", threads=1)
drawn = sampler.sample(5, given=given, **told)
rows = np.stack(list(sampler.stream(5, given=given, **told)), 2)
np.savez("drawn.npz", values=drawn.values, rows=rows)
print(sorted(name for name in sys.modules if name.startswith("torch") and sys.modules[name]))
"""


@pytest.fixture(scope="module")
def model() -> PixelCNN:
    torch.manual_seed(4)
    model = PixelCNN((2, 6, 5), 7, width=6, depth=2, classes=10, vector=3)
    for parameter in model.parameters():
        parameter.data *= 2.5
    return model.eval()


@pytest.fixture(scope="module")
def folder(model: PixelCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images")
    genfast.export(model, path / "digits", uniforms=True, top_k="input")
    return path


def told(n: int) -> dict[str, Any]:
    """Arguments that differ from row to row."""
    rng = np.random.default_rng(n)
    return {
        "seed": rng.integers(0, 2**63, n),
        "index": rng.integers(0, 2**32, n),
        "temperature": np.resize([1.0, 0.0, 1.4], n),
        "top_k": np.resize([0, 3], n),
        "classes": rng.integers(0, 10, n),
        "vector": rng.normal(size=(n, 3)).astype(np.float32),
    }


def given(n: int, channels: int = 2) -> tuple[Any, Any]:
    rng = np.random.default_rng(9)
    return rng.integers(0, 7, (n, 2, 6, 5)), rng.random((n, channels, 6, 5)) < 0.4


def by_library(model: PixelCNN, n: int, **arguments: Any) -> Any:
    named = {k: torch.from_numpy(v) for k, v in arguments.items() if k != "given"}
    if "given" in arguments:
        image, mask = arguments["given"]
        named["given"] = torch.from_numpy(image), torch.from_numpy(mask)
    return model.sample(n, **named).numpy()


@pytest.mark.parametrize("name", ["digits", "digits_uniforms"])
@pytest.mark.parametrize("channels", [1, 2])
def test_draws_what_the_library_draws(
    model: PixelCNN, folder: Path, name: str, channels: int
) -> None:
    sampler, arguments = Sampler(folder / name), told(7) | {"given": given(7, channels)}
    drawn = sampler.sample(7, **arguments)
    assert sampler.shape == (2, 6, 5)
    assert drawn.lengths.tolist() == [30] * 7
    same = (drawn.values == by_library(model, 7, **arguments)).reshape(7, -1).all(1)
    assert same.sum() >= 6
    image, mask = arguments["given"]
    assert (drawn.values == image)[np.broadcast_to(mask, image.shape)].all()


def test_numbers_for_every_row(model: PixelCNN, folder: Path) -> None:
    vector = np.zeros((3, 3))
    drawn = Sampler(folder / "digits").sample(3, seed=5, index=2, classes=4, vector=vector)
    one = {"classes": np.full(3, 4), "vector": vector.astype(np.float32)}
    own = by_library(model, 3, seed=np.full(3, 5), index=np.arange(2, 5), **one)
    assert (drawn.values == own).reshape(3, -1).all(1).sum() >= 2
    assert drawn.seed == 5
    none = Sampler(folder / "digits").sample(0, classes=4, vector=np.zeros((0, 3)))
    assert none.values.shape == (0, 2, 6, 5)


def test_torch_is_not_imported(model: PixelCNN, folder: Path) -> None:
    arguments = told(5)
    image, mask = given(5)
    np.savez(folder / "told.npz", image=image, mask=mask, **arguments)
    environment = os.environ | {"PYTHONPATH": str(Path(genfast.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", READER]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    drawn = np.load(folder / "drawn.npz")
    expected = by_library(model, 5, given=(image, mask), **arguments)
    assert (drawn["values"] == expected).reshape(5, -1).all(1).sum() >= 4
    assert (drawn["rows"] == expected).reshape(5, -1).all(1).sum() >= 4


def test_rows_come_from_the_top(folder: Path) -> None:
    sampler, arguments = Sampler(folder / "digits"), told(2)
    whole = sampler.sample(2, **arguments).values
    for y, row in enumerate(sampler.stream(2, **arguments)):
        np.testing.assert_array_equal(row, whole[:, :, y])
    assert y == 5
    np.testing.assert_array_equal(sampler.sample(2, **arguments).values, whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "classes must be given, this export draws under it"),
        ({"classes": 10}, "classes must be from 0 to 9, got 10"),
        ({"classes": [1, -1]}, "classes must be from 0 to 9, got -1 in row 1"),
        ({"classes": [1.0, 2.0]}, "classes must be an integer or integers"),
        ({"vector": np.zeros((2, 4))}, r"vector must be numbers \(2, 3\), got float64 \(2, 4\)"),
        ({"vector": [[0, 0, 0], [0, np.inf, 0]]}, r"vector must be finite, got inf at \(1, 1\)"),
        ({"vector": "abc"}, "vector must be numbers"),
        ({"features": 1}, "features must be None for an export of images, got 1"),
        ({"length": 5}, "length must be None for an export of images, got 5"),
        ({"prompt": [[1]]}, "prompt must be None for an export of images"),
        ({"stop": 1}, "stop must be None for an export of images"),
        ({"top_p": 0.5}, "top_p is off in this export, got 0.5"),
        ({"given": 3}, "given must be a pair of image and mask, got int"),
        ({"given": (given(3)[0], given(2)[1])}, r"given: image must be integers \(2, 2, 6, 5\)"),
        ({"given": (given(2)[0] / 2, given(2)[1])}, "given: image must be integers"),
        (
            {"given": (given(2)[0], np.ones((2, 3, 6, 5), bool))},
            r"given: mask must be bool \(2, 1, 6, 5\) or \(2, 2, 6, 5\), got bool \(2, 3, 6, 5\)",
        ),
        ({"given": (given(2)[0], given(2)[1] * 1)}, "given: mask must be bool"),
        (
            {"given": (given(2)[0] + 7 * given(2)[1], given(2)[1])},
            r"given: image must be from 0 to 6, got \d+ in row \d, channel \d, y \d, x \d$",
        ),
        ({"n": -1}, "n must be at least 0, got -1"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_bad_arguments_are_one_line(folder: Path, changes: dict[str, Any], message: str) -> None:
    arguments = {"n": 2, "classes": 1, "vector": np.zeros((2, 3))} | changes
    with pytest.raises(ValueError, match=f"^Sampler: {message}") as caught:
        Sampler(folder / "digits").sample(**arguments)
    assert "\n" not in str(caught.value)


def test_levels_that_do_not_count_are_not_looked_at(folder: Path) -> None:
    sampler, arguments = Sampler(folder / "digits"), told(2)
    image, mask = given(2)
    far = sampler.sample(2, given=(np.where(mask, image, -5), mask), **arguments)
    np.testing.assert_array_equal(
        far.values, sampler.sample(2, given=(image, mask), **arguments).values
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [2, 6]}, "shape must be three sides of at least 1, or null"),
        ({"shape": [2, 6, 0]}, "shape must be"),
        ({"parts": 3}, "parts must be 1 or 2, got 3"),
        ({"draws": 0}, "draws must be an integer of at least 1, or null, got 0"),
        ({"conditions": {"size": 3}}, "conditions must be sizes of classes"),
        ({"conditions": {"classes": "10"}}, "conditions must be sizes"),
        ({"shape": None}, "has inputs"),
        ({"conditions": {"classes": 10}}, "has inputs"),
    ],
)
def test_a_field_that_is_wrong(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = json.loads((folder / "digits" / "config.json").read_text())
    config["sampler"] |= changes
    (tmp_path / "a" / "1").mkdir(parents=True)
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    data = (folder / "digits" / "1" / "model.onnx").read_bytes()
    (tmp_path / "a" / "1" / "model.onnx").write_bytes(data)
    with pytest.raises(ValueError, match=f"^Sampler: .*{message}"):
        Sampler(tmp_path / "a")


def test_a_sampler_of_sequences_takes_no_image(toy: Path) -> None:
    with pytest.raises(ValueError, match="given must be None for an export of sequences"):
        Sampler(toy).sample(1, 2, given=given(1))
    with pytest.raises(ValueError, match="length must be an integer or integers"):
        Sampler(toy).sample(1)
