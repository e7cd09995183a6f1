"""Images by themselves: levels, splits, and what they refuse to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genfast.data import Images, digits, read_images


def images(n: int, levels: int = 256, c: int = 1, labels: bool = True) -> Images:
    x = torch.randint(levels, (n, c, 5, 3))
    return Images(x, torch.randint(4, (n,)) if labels else None, levels, "some")


def test_digits_are_the_real_ones() -> None:
    found = digits()
    assert (len(found), found.shape, found.levels, found.classes) == (1797, (1, 8, 8), 17, 10)
    assert found.x.dtype == torch.int64
    assert (int(found.x.min()), int(found.x.max())) == (0, 16)
    assert found.labels is not None
    # A nought is hollow and a one is not, in the mean.
    means = [found.x[found.labels == digit].double().mean(0)[0] for digit in (0, 1)]
    nought, one = (float(mean[3:5, 3:5].mean()) for mean in means)
    assert nought < 4
    assert one > 12


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="scikit-learn must be installed"):
        digits()


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 255])
def test_quantised_cuts_the_levels_into_equal_runs(levels: int) -> None:
    x = torch.arange(256).view(1, 1, 16, 16)
    found = Images(x, None, 256, "ramp").quantised(levels)
    assert found.levels == levels
    counts = found.x.flatten().bincount()
    assert len(counts) == levels
    assert int(counts.max() - counts.min()) <= 1
    assert torch.equal(found.x.flatten(), found.x.flatten().sort().values)


def test_values_that_lie_below_the_levels_stay() -> None:
    x = torch.arange(16).view(1, 1, 4, 4)
    for levels in (16, 17, 300):
        found = Images(x, None, 256, "dark").quantised(levels)
        assert found.levels == levels
        assert torch.equal(found.x, x)
    assert int(Images(x, None, 256, "dark").quantised(15).x.max()) == 0
    assert Images(x, None, 256, "dark").quantised(None).levels == 256


def test_split_is_the_seed_s() -> None:
    whole = images(50)
    train, held = whole.split(0.3, seed=5)
    assert (len(train), len(held)) == (35, 15)
    again, other = whole.split(0.3, seed=5)[1], whole.split(0.3, seed=6)[1]
    assert torch.equal(held.x, again.x)
    assert not torch.equal(held.x, other.x)
    rows = {tuple(row) for row in whole.x.flatten(1).tolist()}
    parts = [tuple(row) for part in (train, held) for row in part.x.flatten(1).tolist()]
    assert len(rows) == 50
    assert sorted(parts) == sorted(rows)


def test_parts_keep_labels_and_classes() -> None:
    x = torch.arange(20).view(20, 1, 1, 1)
    whole = Images(x, torch.arange(20), 20, "all different")
    for part in whole.split(0.5):
        assert part.labels is not None
        assert torch.equal(part.labels, part.x.flatten())
        assert part.classes == 20
    assert whole.unlabelled().split()[0].classes is None


@pytest.mark.parametrize("n", [2, 3, 17])
def test_a_split_leaves_both_parts_something(n: int) -> None:
    train, held = images(n).split(0.01)
    assert (len(train), len(held)) == (n - 1, 1)


def test_splits_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="images left to train on beside the 1 held out, got 1"):
        images(1).split()
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"held_out must be inside \(0, 1\)"):
            images(9).split(share)


def test_tensors_are_what_fit_takes() -> None:
    labelled = images(3)
    assert isinstance(labelled.tensors, tuple)
    assert torch.equal(labelled.tensors[1], labelled.labels)  # type: ignore[arg-type]
    assert isinstance(labelled.unlabelled().tensors, torch.Tensor)


@pytest.mark.parametrize(
    ("x", "labels", "levels", "message"),
    [
        (torch.zeros(2, 1, 3, 3), None, 2, r"x must be int64 \(N, C, H, W\), got torch.float32"),
        (torch.zeros(2, 3, 3).long(), None, 2, r"x must be int64 \(N, C, H, W\)"),
        (torch.zeros(0, 1, 3, 3).long(), None, 2, "at least one pixel"),
        (torch.zeros(2, 1, 3, 3).long(), None, 1, "levels must be at least 2, got 1"),
        (torch.tensor([[[[0, 1], [5, 2]]]]), None, 5, r"below 5, got 5 at \[0, 0, 1, 0\]"),
        (torch.tensor([[[[0, -1]]]]), None, 5, r"at least 0 and below 5, got -1 at"),
        (torch.zeros(2, 1, 1, 1).long(), torch.zeros(3).long(), 2, "N=2, got torch.int64"),
        (torch.zeros(2, 1, 1, 1).long(), torch.zeros(2), 2, "N=2, got torch.float32"),
        (torch.zeros(2, 1, 1, 1).long(), torch.tensor([0, -3]), 2, r"got -3 at \[1\]"),
    ],
)
def test_what_images_are_not(
    x: torch.Tensor, labels: torch.Tensor | None, levels: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Images(x, labels, levels, "some")


def test_options_of_other_kinds_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 3), np.uint8))
    for source, options, message in (
        ("digits", {"labels": "a"}, "digits takes no labels"),
        ("digits", {"size": (3, 3)}, "digits takes no size"),
        (tmp_path, {"key": "x"}, "a folder of pictures takes no key"),
        (tmp_path / "x.npy", {"label_key": "y"}, "an .npy file takes no label_key"),
        (tmp_path / "x.npz", {"size": (1, 1)}, "an .npz file takes no size"),
        (tmp_path / "x", {"size": (1, 1)}, "an IDX file takes no size"),
    ):
        with pytest.raises(ValueError, match=message):
            read_images(source, **options)  # type: ignore[arg-type]


def test_read_images_brings_to_levels() -> None:
    found = read_images("digits", levels=4)
    assert found.levels == 4
    assert torch.equal(found.x, digits().x * 4 // 17)
    with pytest.raises(ValueError, match="levels must be at least 2, got 1"):
        read_images("digits", levels=1)
    with pytest.raises(FileNotFoundError, match="missing"):
        read_images("missing")
