"""The digits' demo in small: it says what it measured, and keeps what it drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genfast
from genfast.data import PixelFrequencies, grid
from genfast.data import digits as all_digits
from genfast.demo import digits
from genfast.runtime import Sampler

LABELS = torch.arange(10).repeat_interleave(10)


def shown(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))[..., None]


@pytest.mark.usefixtures("one_thread")
def test_demo_in_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept"
    report = digits.run(digits.DemoDigits(seconds=1, width=6, depth=2, seed=3, out=out))
    said = capsys.readouterr().out
    assert report.folder == out
    assert f"{report.bits.model:.3f}   this model" in said
    assert f"{report.bits.pixels:.3f}   each pixel by itself" in said
    assert f"{report.bits.png:.3f}   PNG, all of them in one file" in said
    assert ("The model is behind" in said) == (report.bits.model >= report.bits.pixels)
    train, held = all_digits().split(seed=3)
    assert report.bits.pixels == PixelFrequencies(train).bits_per_dim(held)
    assert report.history.steps > 0
    assert report.timing.differing <= 1
    assert report.exported is not None
    assert str(report.exported.report) in said
    assert {p.name for p in out.iterdir()} >= {"digits.png", "completed.png", "model", "sampler"}
    check_drawn(out, report)
    check_completed(out, held)


def check_drawn(out: Path, report: digits.DigitsReport) -> None:
    """The library and the exported sampler draw the picture."""
    model = genfast.load(out / "model")
    assert model.figures["held_out_bits_per_dim"] == report.bits.model
    drawn = model.sample(100, seed=3, classes=LABELS)
    assert np.array_equal(shown(out / "digits.png"), grid(drawn, 17, 10))
    values = Sampler(out / "sampler").sample(100, seed=3, classes=LABELS.numpy()).values
    assert (values != drawn.numpy()).any((1, 2, 3)).sum() <= 1


def check_completed(out: Path, held: genfast.data.Images) -> None:
    """Rows of a held-out digit: its upper half, drawn ones that have it, and itself."""
    picture = shown(out / "completed.png")[..., 0]
    scale, gap = 6, 3
    assert picture.shape == (10 * 51 + gap, 7 * 51 + gap)
    step = 8 * scale + gap
    tiles = np.stack(
        [
            [picture[y : y + 48 : scale, x : x + 48 : scale] for x in range(gap, 7 * step, step)]
            for y in range(gap, 10 * step, step)
        ]
    )
    truths = {tuple(image.flatten().tolist()) for image in held.x * 255 // 16}
    assert held.labels is not None
    for label, row in enumerate(tiles):
        assert tuple(row[6].flatten().tolist()) in truths
        assert (row[:, :4] == row[6, :4]).all()
        assert len(np.unique(row[0, 4:])) == 1
        image = torch.from_numpy(row[6].astype(np.int64))
        places = ((held.x[:, 0] * 255 // 16) == image).flatten(1).all(1)
        assert label in held.labels[places]
    assert len({row.tobytes() for row in tiles[:, 1:6].reshape(50, 64)}) > 40


@pytest.mark.usefixtures("one_thread")
def test_a_new_folder_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genfast.demo.exported.find_spec", lambda name: None)
    (tmp_path / "digits").mkdir()
    report = digits.run(digits.DemoDigits(seconds=0.2, width=2, depth=1))
    assert report.folder == Path("digits-2")
    assert report.exported is None
    assert {p.name for p in report.folder.iterdir()} == {"digits.png", "completed.png", "model"}
    assert not list((tmp_path / "digits").iterdir())


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    """As `genfast demo digits` runs it: well below independent pixels, which are below PNG."""
    report = digits.run(digits.DemoDigits(out=tmp_path / "digits"))
    assert report.bits.model < report.bits.pixels - 0.3
    assert report.bits.pixels < report.bits.png
