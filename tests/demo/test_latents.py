"""The demo of latents in small: it says what it measured, and keeps what it drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genfast
from genfast.data import PixelFrequencies, grid
from genfast.data import digits as all_digits
from genfast.demo import latents
from genfast.demo.rivals import Judge, class_pca_error
from genfast.metrics import recognised

PICTURES = {"samples.png", "reconstructions.png", "traversals.png", "classes.png", "training.gif"}


def shown(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))[..., None]


@pytest.mark.usefixtures("one_thread")
def test_demo_in_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genfast.demo.exported.find_spec", lambda name: None)
    monkeypatch.setattr(latents, "_IMPORTANCE", 4)
    out = tmp_path / "kept"
    report = latents.run(latents.DemoLatents(seconds=1, latent=4, width=20, seed=3, out=out))
    said, found = capsys.readouterr().out, report.measured
    assert report.folder == out
    assert f"{found.bits:.3f}   this model at most, by 4 weighted draws" in said
    assert f"{found.pixel_bits:.3f}   each pixel by itself" in said
    assert f"{found.error:.3f}   levels (root mean square) by this model" in said
    assert f"{found.pca_error:.3f}   by 4 principal components" in said
    assert f"{found.recognised:.1%}   of 1,000 samples" in said
    behind = found.bits >= found.pixel_bits or found.error >= found.pca_error
    assert ("The model is behind" in said) == behind
    train, held = all_digits().split(seed=3)
    assert found.pixel_bits == PixelFrequencies(train).bits_per_dim(held)
    assert found.pca_error == class_pca_error(train, held, 4)
    assert found.held_recognised == recognised(held.x, held.labels, Judge(train))
    assert found.held_recognised > 0.95
    assert report.exported is None
    assert {p.name for p in out.iterdir()} == PICTURES | {"model"}
    assert all(f"{out}/{name}" in said for name in PICTURES)
    check_pictures(out, report, held)


def check_pictures(out: Path, report: latents.LatentsReport, held: genfast.data.Images) -> None:
    """They are what the model that was saved draws."""
    model = genfast.load(out / "model")
    assert model.figures["held_out_bits_per_dim"] == report.measured.bits
    assert model.bits_per_dim(held.x, held.labels, importance=4) == pytest.approx(
        report.measured.bits, rel=1e-6
    )
    classes = torch.arange(10).repeat_interleave(10)
    drawn = model.sample(100, seed=3, classes=classes)
    assert np.array_equal(shown(out / "samples.png"), grid(drawn, None, 10))
    z = model.latents(8, seed=3, index=1000)
    crossed = torch.cat([model.decoded(row.expand(10, -1), torch.arange(10)) for row in z])
    assert np.array_equal(shown(out / "classes.png"), grid(crossed, None, 10))
    scale, gap = 6, 3
    tiles = shown(out / "reconstructions.png")[..., 0]
    assert tiles.shape == (4 * (2 * 51 + gap) + 3 * 9, 10 * 51 + gap)
    truths = {tuple((image.flatten() / 16 * 255).round().int().tolist()) for image in held.x}
    for column in range(10):
        left = gap + column * 51
        tile = tiles[gap : gap + 48 : scale, left : left + 48 : scale]
        assert tuple(tile.flatten().tolist()) in truths
    assert shown(out / "traversals.png").shape[:2] == (4 * 51 + gap, 13 * 51 + gap)
    with Image.open(out / "training.gif") as film:
        assert film.size == (10 * 51 + gap, 6 * 51 + gap)
        assert film.n_frames > 5


def test_rivals() -> None:
    train, held = all_digits().split(seed=1)
    errors = [class_pca_error(train, held, k) for k in (1, 8, 64)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-9
    untold = class_pca_error(train.unlabelled(), held.unlabelled(), 8)
    assert errors[1] < 0.95 * untold
    judge = Judge(train)
    assert held.labels is not None
    assert judge.predict(held.x / 16).equal(judge.predict(held.x))
    assert recognised(held.x, (held.labels + 1) % 10, judge) < 0.05


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    """As `genfast demo latents` runs it."""
    report = latents.run(latents.DemoLatents(out=tmp_path / "latents"))
    found = report.measured
    assert found.bits < found.pixel_bits - 0.1
    assert found.error < 0.9 * found.pca_error
    assert found.recognised > 0.9
    assert report.exported is not None
