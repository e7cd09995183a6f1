"""Whole pixels drawn with NumPy and ONNX Runtime alone: what the library draws, and bad masks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genfast
from genfast.heads import LogisticMixture
from genfast.models.pixelcnn import PixelCNN
from genfast.rasters import RasterRequest
from genfast.runtime import Sampler
from genfast.testing import replay_images_drawn

SHAPE = (3, 5, 4)
#: Draws without PyTorch.
READER = """
import sys
sys.modules.update(dict.fromkeys(("torch", "jaxtyping", "onnx", "genfast._core")))
import numpy as np
from genfast.runtime import Sampler

told = dict(np.load("told.npz"))
given = told.pop("image"), told.pop("mask")
sampler = Sampler("faces", threads=1)
drawn = sampler.sample(5, given=given, **told).values
rows = np.stack(list(sampler.stream(5, given=given, **told)), 2)
np.savez("drawn.npz", values=drawn, rows=rows)
"""


@pytest.fixture(scope="module")
def model() -> PixelCNN:
    torch.manual_seed(4)
    model = PixelCNN(SHAPE, 256, width=6, depth=2, classes=10, head=LogisticMixture(256, 5, 3))
    for parameter in model.parameters():
        parameter.data *= 2
    return model.eval()


@pytest.fixture(scope="module")
def folder(model: PixelCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mixture")
    genfast.export(model, path / "faces", uniforms=True)
    return path


def told(n: int) -> dict[str, Any]:
    """Arguments that differ from row to row."""
    rng = np.random.default_rng(n)
    return {
        "seed": rng.integers(0, 2**63, n),
        "index": rng.integers(0, 2**32, n),
        "temperature": np.resize([1.0, 0.0, 0.7], n),
        "classes": rng.integers(0, 10, n),
    }


def given(n: int, channels: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(9)
    mask = rng.random((n, 1, *SHAPE[1:])) < 0.4
    return rng.integers(0, 256, (n, *SHAPE)), np.repeat(mask, channels, 1)


def right(model: PixelCNN, values: Any, arguments: dict[str, Any], image: Any, mask: Any) -> Any:
    """Checks images by replay; which are the library's, bool (N)."""
    named = {name: torch.from_numpy(value) for name, value in arguments.items()}
    named["temperature"] = named["temperature"].float()
    named["given"] = torch.from_numpy(image), torch.from_numpy(mask)
    assert replay_images_drawn(model, torch.from_numpy(values), RasterRequest(**named)).skipped == 0
    expected = model.sample(len(values), **named).numpy()
    return (values == expected).reshape(len(values), -1).all(1)


@pytest.mark.parametrize("name", ["faces", "faces_uniforms"])
@pytest.mark.parametrize("channels", [1, 3])
def test_draws_what_the_library_draws(
    model: PixelCNN, folder: Path, name: str, channels: int
) -> None:
    sampler, arguments, (image, mask) = Sampler(folder / name), told(7), given(7, channels)
    drawn = sampler.sample(7, given=(image, mask), **arguments)
    assert (sampler.shape, sampler.classes) == (SHAPE, 256)
    assert drawn.lengths.tolist() == [20] * 7
    assert right(model, drawn.values, arguments, image, mask).sum() >= 6
    assert (drawn.values == image)[np.broadcast_to(mask, image.shape)].all()


def test_without_torch(model: PixelCNN, folder: Path) -> None:
    arguments, (image, mask) = told(5), given(5)
    np.savez(folder / "told.npz", image=image, mask=mask, **arguments)
    environment = os.environ | {"PYTHONPATH": str(Path(genfast.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", READER]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    drawn = np.load(folder / "drawn.npz")
    assert right(model, drawn["values"], arguments, image, mask).sum() >= 4
    np.testing.assert_array_equal(drawn["rows"], drawn["values"])


def test_parts_of_a_pixel_are_refused(folder: Path) -> None:
    image, mask = given(2, 3)
    mask[1, 2, 3, 1] ^= True
    message = (
        "^Sampler: given: mask must take whole pixels, got another value than channel 0's in "
        "row 1, channel 2, y 3, x 1$"
    )
    with pytest.raises(ValueError, match=message):
        Sampler(folder / "faces").sample(2, given=(image, mask), classes=1)


@pytest.mark.parametrize("kept", [{"top_k": 3}, {"top_p": 0.5}])
def test_there_are_no_classes_to_keep(folder: Path, kept: dict[str, Any]) -> None:
    ((name, value),) = kept.items()
    with pytest.raises(ValueError, match=f"^Sampler: {name} is off in this export, got {value}"):
        Sampler(folder / "faces").sample(1, classes=1, **kept)
