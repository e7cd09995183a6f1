"""Replay of images with the scores of the compiled backend, and with maps of features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from genfast import compiled as compiled_module
from genfast._extension import core
from genfast.compiled import Compiled, compiled
from genfast.models.pixelcnn import PixelCNN
from genfast.rasters import RasterRequest, backend_scores, sample
from genfast.testing import replay_images

pytestmark = pytest.mark.usefixtures("one_thread")

N = 5
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature 0": {"temperature": 0},
    "both": {"top_k": 5, "top_p": 0.8, "temperature": 1.3},
    "given": {"given": (torch.arange(N * 40).view(N, 2, 4, 5) % 7, torch.rand(N, 1, 4, 5) < 0.4)},
    "rows": {
        "temperature": torch.linspace(0, 2, N),
        "top_k": torch.arange(N),
        "top_p": torch.linspace(0.2, 1, N),
        "seed": torch.arange(N) * 1000,
    },
}


def model_of(shape: tuple[int, int, int] = (2, 4, 5), levels: int = 7, **options: Any) -> PixelCNN:
    torch.manual_seed(0)
    model = PixelCNN(shape, levels, **({"width": 7, "depth": 2} | options))
    # Scores as wide as those of a trained model.
    for parameter in model.parameters():
        parameter.data *= 1.7
    return model


@pytest.mark.parametrize("isa", core.isas())
@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("name", OPTIONS)
def test_replay(monkeypatch: Any, isa: str, variant: str, name: str) -> None:
    monkeypatch.setenv("GENFAST_ISA", isa)
    model = model_of(variant=variant)
    report = replay_images(model, N, **({"seed": 5} | OPTIONS[name]))
    assert compiled(model).executor.isa == isa
    assert (report.backend, report.skipped) == ("cpu", 0)
    assert report.score_error is not None
    assert 0 < report.score_error < 2e-5
    assert report.equal_samples == 1


@pytest.mark.parametrize("isa", core.isas())
@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 5, 1), (1, 9, 7), (3, 3, 4)])
@pytest.mark.parametrize("width", [1, 5, 17])
def test_replay_of_odd_shapes_and_widths(
    monkeypatch: Any, isa: str, variant: str, shape: Any, width: int
) -> None:
    monkeypatch.setenv("GENFAST_ISA", isa)
    model = model_of(shape, 5, variant=variant, width=max(width, shape[0]), classes=3)
    replay_images(model, 3, seed=9, classes=torch.tensor([2, 0, 1]))


@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_features_steer_the_draw(variant: str) -> None:
    model = model_of(variant=variant, features=3, classes=4, vector=2)
    request = RasterRequest(
        seed=0,
        classes=torch.arange(N) % 4,
        vector=torch.randn(N, 2),
        features=torch.randn(N, 4, 5, 3).permute(0, 3, 1, 2),
        backend="cpu",
    )
    drawn = sample(model, N, request)
    named = ("classes", "vector", "features")
    replay_images(model, N, **{name: getattr(request, name) for name in named})
    for name in named:
        other = replace(request, **{name: getattr(request, name).flip(0)})
        assert not torch.equal(sample(model, N, other), drawn)
    for i in range(N):
        own = {name: getattr(request, name)[i : i + 1] for name in named}
        one = sample(model, 1, replace(request, index=i, **own))
        assert torch.equal(one[0], drawn[i])


def test_replay_of_index_images() -> None:
    for shape in ((1, 4, 5), (2, 3, 3)):
        model = model_of(shape, 33, input="embedding", embedding_width=3)
        replay_images(model, 3, top_k=9)


@pytest.mark.parametrize("name", OPTIONS)
def test_one_wrong_weight_is_found(monkeypatch: Any, name: str) -> None:
    model, other = model_of(), model_of()
    other.network.blocks[0].vertical.weight.data[3, 1, 2, 2] += 0.05
    kept = compiled(other)
    monkeypatch.setitem(
        compiled_module._KEPT, model, (Compiled(kept.program, kept.executor, compiled(model).key),)
    )
    with pytest.raises(AssertionError, match=r"replay: row \d, y \d, x \d, channel \d: score"):
        replay_images(model, N, whole=False, **OPTIONS[name])


def test_scores_do_not_depend_on_batch_or_threads() -> None:
    model, seen = model_of((1, 6, 7), 9, width=17), []
    drawn = sample(model, 16, RasterRequest(seed=0))
    for n, threads in ((16, 1), (16, 2), (5, 3), (1, 2), (1, 1)):
        torch.set_num_threads(threads)
        scores, backend = backend_scores(model, drawn[:n], RasterRequest())
        assert backend == "cpu"
        assert scores is not None
        assert scores.shape == (n, 42, 1, 9)
        seen.append(scores[0])
    assert all(torch.equal(scores, seen[0]) for scores in seen)
