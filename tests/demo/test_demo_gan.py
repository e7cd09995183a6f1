"""The games' demo in small: it says what it measured, and keeps what it drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

import genfast
from genfast.data import grid
from genfast.demo import gan
from genfast.runtime import Sampler

LABELS = torch.arange(10).repeat_interleave(10)


def shown(path: Path) -> list[np.ndarray]:
    """The frames of a picture or a movie."""
    with Image.open(path) as image:
        frames = ImageSequence.Iterator(image)
        return [np.asarray(frame.convert("RGB")).astype(int) for frame in frames]


@pytest.mark.usefixtures("one_thread")
def test_demo_in_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    out = tmp_path / "kept"
    options = gan.DemoGAN(seconds=0.7, toy_seconds=0.4, width=4, frames=3, seed=3, out=out)
    report = gan.run(options)
    said = capsys.readouterr().out
    assert report.folder == out
    assert f"samples reach {report.toy.modes} of 8 modes, {report.toy.near:.0%} lie" in said
    assert f"takes {report.recognised:.1%} of 1,000 samples" in said
    assert 0.9 < report.real <= 1
    assert report.exported is not None
    assert {path.name for path in out.iterdir()} >= {
        *("gaussians.gif", "gaussians.png", "training.gif", "digits.png", "model", "sampler"),
    }
    for movie, still in (("gaussians.gif", "gaussians.png"), ("training.gif", "digits.png")):
        frames = shown(out / movie)
        assert 1 <= len(frames) <= 4
        assert np.abs(frames[-1] - shown(out / still)[0]).mean() < 8
    model = genfast.load(out / "model")
    assert model.figures["recognised"] == report.recognised
    drawn = model.to_levels(model.sample(100, seed=3, classes=LABELS))
    tiles = grid(drawn, 17, 10).repeat(3, -1)
    assert np.array_equal(shown(out / "digits.png")[0], tiles)
    given = {"seed": 3, "classes": LABELS.numpy()}
    exported = report.exported.sampler.sample(100, **given).values
    assert np.abs(exported - model.sample(100, seed=3, classes=LABELS).numpy()).max() < 1e-4


@pytest.mark.usefixtures("one_thread")
def test_a_new_folder_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genfast.demo.exported.find_spec", lambda name: None)
    (tmp_path / "gan").mkdir()
    report = gan.run(gan.DemoGAN(seconds=0.2, toy_seconds=0.2, width=2, frames=1))
    assert report.folder == Path("gan-2")
    assert report.exported is None
    assert not list((tmp_path / "gan").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0.0}, "demo: seconds must be above 0, got 0.0"),
        ({"toy_seconds": float("inf")}, "demo: toy_seconds must be above 0, got inf"),
        ({"frames": 0}, "demo: frames must be at least 1, got 0"),
        ({"seed": -1}, "demo: seed must be at least 0"),
    ],
)
def test_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gan.run(gan.DemoGAN(**options))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    """As `genfast demo gan` runs it."""
    report = gan.run(gan.DemoGAN(out=tmp_path / "gan"))
    assert report.toy.modes == 8
    assert report.toy.near > 0.8
    assert report.recognised > 0.85
    model = genfast.load(tmp_path / "gan" / "model")
    drawn = model.sample(4, seed=3, classes=torch.arange(4))
    found = Sampler(tmp_path / "gan" / "sampler").sample(4, seed=3, classes=np.arange(4))
    assert np.abs(found.values - drawn.numpy()).max() < 1e-4
