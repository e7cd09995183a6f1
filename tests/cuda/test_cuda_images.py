"""Images on a simulated GPU: what the CPU draws, however the work is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from simulated_gpu import image_model

from genfast import rasters
from genfast.models.pixelcnn import PixelCNN
from genfast.rasters import RasterRequest, backend_scores
from genfast.testing import replay_images

pytestmark = pytest.mark.usefixtures("one_thread", "simulated")

N = 5
MODELS: dict[str, dict[str, Any]] = {
    "grey": {"shape": (1, 5, 4)},
    "gated": {"variant": "gated"},
    "RGB": {"shape": (3, 3, 3)},
    "mixture": {"shape": (3, 3, 3), "levels": 16, "mixture": True},
    "mixture, gated": {"levels": 16, "mixture": True, "variant": "gated"},
    "classes": {"classes": 3},
    "vector": {"vector": 2, "variant": "gated"},
    "features": {"features": 2},
    "all conditions": {"classes": 3, "vector": 2, "features": 2, "shape": (2, 3, 3)},
    "one pixel": {"shape": (1, 1, 1)},
}


def conditions_of(model: PixelCNN, n: int = N) -> dict[str, Any]:
    """What a model needs for `n` images, all rows different."""
    given: dict[str, Any] = {}
    if model.classes is not None:
        given["classes"] = torch.arange(n) % model.classes
    if model.vector is not None:
        given["vector"] = torch.randn(n, model.vector)
    if model.features is not None:
        given["features"] = torch.randn(n, model.features, *model.shape[1:])
    return given


@pytest.mark.parametrize("name", MODELS)
def test_images_are_those_of_the_cpu_and_of_their_index(name: str) -> None:
    model = image_model(**MODELS[name])
    given = conditions_of(model)
    batch = model.sample(N, seed=4, backend="cuda", **given)
    assert torch.equal(batch, model.sample(N, seed=4, backend="cpu", **given))
    rows = {argument: value[3:4] for argument, value in given.items()}
    one = model.sample(1, seed=4, index=3, backend="cuda", **rows)
    assert torch.equal(one[0], batch[3])


@pytest.mark.parametrize("name", ["grey", "RGB", "mixture", "all conditions"])
def test_replay_finds_nothing_wrong(name: str) -> None:
    model = image_model(**MODELS[name])
    report = replay_images(model, N, backend="cuda", **conditions_of(model))
    assert (report.backend, report.skipped, report.equal_samples) == ("cuda", 0, 1.0)
    assert report.score_error is not None
    assert 0 < report.score_error < 2e-6


def test_replay_of_bfloat16_weights_finds_nothing_wrong() -> None:
    report = replay_images(image_model().bfloat16(), N, backend="cuda", whole=False)
    assert report.score_error is not None
    assert 1e-7 < report.score_error < 2e-5


@pytest.mark.parametrize("name", ["RGB", "mixture"])
def test_given_levels_are_kept_and_own_their_draws(name: str) -> None:
    model = image_model(**MODELS[name])
    x = model.sample(N, seed=3, backend="cuda")
    mask = torch.rand(N, 1, 3, 3) < 0.5
    again = model.sample(N, seed=3, given=(x.where(mask, -999), mask), backend="cuda")
    assert torch.equal(again, x)
    other = torch.randint(6, x.shape), mask
    drawn = model.sample(N, seed=3, given=other, backend="cuda")
    assert torch.equal(drawn[mask.expand_as(x)], other[0][mask.expand_as(x)])
    assert torch.equal(drawn, model.sample(N, seed=3, given=other, backend="cpu"))


def test_where_a_batch_is_cut_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, n = image_model((2, 2, 3), classes=5, features=2), 7
    options = {
        "seed": torch.arange(n) * 7,
        "index": torch.arange(n).flip(0),
        "temperature": torch.linspace(0, 2, n),
        "top_k": torch.arange(n) % 7,
        "top_p": torch.linspace(0.2, 1, n),
        "given": (torch.randint(6, (n, 2, 2, 3)), torch.rand(n, 1, 2, 3) < 0.3),
        **conditions_of(model, n),
    }
    whole = model.sample(n, **options, backend="cuda")
    assert torch.equal(whole, model.sample(n, **options, backend="cpu"))
    cuts = []
    draw = rasters._draw
    monkeypatch.setattr(rasters, "_BYTES", 0)
    monkeypatch.setattr(rasters, "_FEWEST", 3)
    monkeypatch.setattr(
        rasters,
        "_draw",
        lambda m, s, x, rows: cuts.append(len(rows.options.seed)) or draw(m, s, x, rows),
    )
    assert torch.equal(model.sample(n, **options, backend="cuda"), whole)
    assert cuts == [3, 3, 1]


def test_scores_are_those_of_forward() -> None:
    model = image_model((3, 3, 3)).eval()
    images = torch.randint(6, (2, 3, 3, 3))
    scores, served = backend_scores(model, images, RasterRequest(backend="cuda"))
    assert served == "cuda"
    torch.testing.assert_close(scores, model(images).flatten(1, 2), atol=2e-5, rtol=0)


def test_what_cannot_be_drawn_is_named() -> None:
    model = image_model(mixture=True)
    with pytest.raises(ValueError, match=r"sample: top_k must be off for the head"):
        model.sample(2, top_k=3, backend="cuda")
    model = image_model()
    model.network.readout.weight.data.fill_(3e38)
    with pytest.raises(FloatingPointError, match=r"scores of row \d at site \d+ are"):
        model.sample(2, backend="cuda")
    assert model.sample(0, backend="cuda").shape == (0, 1, 4, 3)
