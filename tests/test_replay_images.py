"""Replay of images holds for what is drawn, and fails when something is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genfast import compiled as compiled_module
from genfast._extension import core
from genfast.compiled import Compiled, compiled
from genfast.heads import DrawOptions
from genfast.models.pixelcnn import PixelCNN
from genfast.rasters import RasterRequest, backend_scores, sample
from genfast.testing import ImageReplay, replay_images, replay_images_drawn

pytestmark = pytest.mark.usefixtures("one_thread")

N = 6
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature 0": {"temperature": 0},
    "temperature 0.5": {"temperature": 0.5},
    "top-k": {"top_k": 3},
    "top-p": {"top_p": 0.7, "temperature": 1.5},
    "rows": {
        "temperature": torch.linspace(0, 2, N),
        "top_k": torch.arange(N),
        "top_p": torch.linspace(0.2, 1, N),
        "seed": torch.arange(N) * 1000,
        "index": torch.arange(N).flip(0),
    },
}


def model_of(
    shape: tuple[int, int, int] = (2, 4, 5), levels: int = 7, *, seed: int = 0, **options: Any
) -> PixelCNN:
    torch.manual_seed(seed)
    model = PixelCNN(shape, levels, **({"width": 7, "depth": 2} | options))
    # Scores as wide as those of a trained model.
    for parameter in model.parameters():
        parameter.data *= 1.7
    return model


def given_of(shape: tuple[int, int, int], levels: int, seed: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(levels, (N, *shape), generator=generator)
    return image, torch.rand(N, *shape, generator=generator) < 0.4


@pytest.mark.parametrize("isa", core.isas())
@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("name", [*OPTIONS, "given"])
def test_draws_are_replayed(monkeypatch: Any, isa: str, variant: str, name: str) -> None:
    monkeypatch.setenv("GENFAST_ISA", isa)
    model = model_of(variant=variant, classes=3)
    options = OPTIONS.get(name, {"given": given_of(model.shape, model.levels)})
    classes = torch.arange(N) % 3
    request = RasterRequest(**({"seed": 5} | options), classes=classes, backend="cpu")
    drawn = sample(model, N, request)
    assert compiled(model).executor.isa == isa
    report = replay_images_drawn(model, drawn, request, backend="cpu")
    asked = N * 40 if name != "given" else int((~options["given"][1]).sum())
    assert (report.backend, report.sites, report.skipped) == ("cpu", asked, 0)
    assert report.score_error is None
    assert report.equal_samples is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (1, 5, 1), (1, 9, 7), (3, 3, 2)])
@pytest.mark.parametrize("variant", ["masked", "gated"])
@pytest.mark.parametrize("levels", [2, 17])
def test_draws_of_odd_shapes_are_replayed(shape: Any, variant: str, levels: int) -> None:
    model = model_of(shape, levels, variant=variant, width=5)
    request = RasterRequest(seed=9, backend="cpu")
    drawn = sample(model, 5, request)
    assert replay_images_drawn(model, drawn, request).sites == drawn.numel()
    assert torch.equal(drawn, sample(model, 5, replace(request, backend="reference")))


def test_the_reference_replays_itself() -> None:
    model = model_of((2, 3, 3), vector=2)
    report = replay_images(
        model, 3, backend="reference", vector=torch.randn(3, 2), top_p=0.8, seed=None
    )
    assert (report.backend, report.sites, report.equal_samples) == ("reference", 54, 1.0)
    assert report.score_error is None


def plant(monkeypatch: Any, model: PixelCNN, other: PixelCNN) -> None:
    """Makes the compiled backend draw from the weights of `other`."""
    kept = compiled(other)
    monkeypatch.setitem(
        compiled_module._KEPT, model, (Compiled(kept.program, kept.executor, compiled(model).key),)
    )


@pytest.mark.parametrize("options", [*OPTIONS, "given"])
def test_draws_find_a_wrong_weight(monkeypatch: Any, options: str) -> None:
    model, other = model_of(), model_of()
    other.network.readout.weight.data += 0.2 * torch.randn(other.network.readout.weight.shape)
    plant(monkeypatch, model, other)
    chosen = OPTIONS.get(options, {"given": given_of(model.shape, model.levels)})
    request = RasterRequest(**({"seed": 0} | chosen), backend="cpu")
    with pytest.raises(AssertionError, match=r"replay: row \d, y \d, x \d, channel \d: drew class"):
        replay_images_drawn(model, sample(model, N, request), request)


def test_an_error_names_the_pixel() -> None:
    model, request = model_of((3, 4, 5)), RasterRequest(seed=0, backend="cpu")
    drawn = sample(model, 4, request)
    # The last draw of all, so that no other is of another prefix.
    drawn[2, 2, 3, 4] = (drawn[2, 2, 3, 4] + 1) % 7
    with pytest.raises(AssertionError, match="replay: row 2, y 3, x 4, channel 2: drew class"):
        replay_images_drawn(model, drawn, request)
    grey = model_of((1, 4, 5))
    drawn = sample(grey, 4, request)
    drawn[3, 0, 3, 4] = (drawn[3, 0, 3, 4] + 1) % 7
    with pytest.raises(AssertionError, match="replay: row 3, y 3, x 4: drew class"):
        replay_images_drawn(grey, drawn, request)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"index": 1}, {"temperature": 0.5}, {"top_k": 2}, {"top_p": 0.5}]
)
def test_draws_of_other_options_are_found(other: dict[str, Any]) -> None:
    model, request = model_of(), RasterRequest(seed=0, backend="cpu")
    drawn = sample(model, N, request)
    with pytest.raises(AssertionError, match="drew class"):
        replay_images_drawn(model, drawn, replace(request, **other))


def test_draws_of_other_conditions_are_found() -> None:
    model = model_of(classes=3, vector=2)
    classes, vector = torch.arange(N) % 3, torch.randn(N, 2)
    request = RasterRequest(seed=0, classes=classes, vector=vector, backend="cpu")
    drawn = sample(model, N, request)
    replay_images_drawn(model, drawn, request)
    for other in ({"classes": classes.roll(1)}, {"vector": vector.roll(1, 0)}):
        with pytest.raises(AssertionError, match="drew class"):
            replay_images_drawn(model, drawn, replace(request, **other))


def test_given_levels_must_be_there_and_are_not_asked() -> None:
    model, given = model_of(), given_of((2, 4, 5), 7)
    request = RasterRequest(seed=0, given=given, backend="cpu")
    drawn = sample(model, N, request)
    with pytest.raises(AssertionError, match="drew class"):
        replay_images_drawn(model, drawn, replace(request, given=None))
    free = sample(model, N, replace(request, given=None))
    with pytest.raises(AssertionError, match="values differ from what was given"):
        replay_images_drawn(model, free, request)
    everything = replace(request, given=(given[0], torch.ones_like(given[1])))
    assert replay_images_drawn(model, given[0], everything).sites == 0


def reference_scores(model: PixelCNN, images: Tensor, **conditions: Tensor) -> Tensor:
    with torch.no_grad():
        scores: Tensor = model(images, **conditions).flatten(1, 2)
    return scores


def test_scores_of_another_backend_are_compared() -> None:
    model, request = model_of(), RasterRequest(seed=0)
    drawn = sample(model, N, request)
    scores = reference_scores(model, drawn)
    report = replay_images_drawn(model, drawn, request, scores, backend="other")
    assert report.backend == "other"
    assert report.score_error is not None
    assert 0 < report.score_error < 2e-5
    scores[4, 13, 1, 5] += 0.01
    with pytest.raises(AssertionError, match="row 4, y 2, x 3, channel 1: score of class 5 is"):
        replay_images_drawn(model, drawn, request, scores)


def test_equal_images_ask_the_reference_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new is checked all the same: other images, and scores of images that are known."""
    model, request = model_of(classes=3), RasterRequest(seed=0, classes=torch.arange(N) % 3)
    drawn, calls = sample(model, N, request), []
    scores = reference_scores(model, drawn, classes=torch.arange(N) % 3)
    forward = PixelCNN.forward
    monkeypatch.setattr(
        PixelCNN, "forward", lambda self, *x, **named: calls.append(1) or forward(self, *x, **named)
    )
    replay = ImageReplay(model, request)
    first = replay.check(drawn)
    again = replay.check(drawn.clone(), scores, backend="other")
    assert len(calls) == 2  # in float64 and in float32
    assert first == replace(again, score_error=None, backend="")
    assert again == replay_images_drawn(model, drawn, request, scores, backend="other")
    scores[4, 13, 1, 5] += 0.01
    with pytest.raises(AssertionError, match="row 4, y 2, x 3, channel 1: score of class 5 is"):
        replay.check(drawn, scores)
    other = drawn.clone()
    other[4, 1, 2, 3] = (other[4, 1, 2, 3] + 1) % 7
    for _ in range(2):
        with pytest.raises(AssertionError, match="row 4, y 2, x 3, channel 1: drew class"):
            replay.check(other)
    assert replay.check(drawn) == first


def test_values_that_do_not_fit_are_refused() -> None:
    model, request = model_of(), RasterRequest(seed=0)
    drawn = sample(model, N, request)
    for bad in (drawn[:, :1], drawn.float(), drawn + 7):
        with pytest.raises(ValueError, match=r"^replay: values must be"):
            replay_images_drawn(model, bad, request)
    with pytest.raises(ValueError, match=r"^backend_scores: images must be"):
        backend_scores(model, drawn + 7, request)
    assert backend_scores(model, drawn, replace(request, backend="reference"))[0] is None


class Halves:
    """A head of whole pixels: every channel is the level that half its uniform says, and judges."""

    channels, levels, draws, parameters = 2, 8, 3, 1

    def draw(self, parameters: Tensor, uniforms: Tensor, options: DrawOptions, site: int) -> Tensor:
        return (uniforms[:, 1:].double() * 4 + parameters.double().round()).floor().long()

    def judge(
        self, exact: Tensor, close: Tensor, values: Tensor, uniforms: Tensor, options: DrawOptions
    ) -> tuple[Tensor, Tensor]:
        wanted = self.draw(exact, uniforms, options, 0)
        return (values == wanted).all(-1), (exact - close.double()).abs()[:, 0]


class Pixels(nn.Module):
    """Gives 1 everywhere, and has no program."""

    shape, levels, classes, vector, features = (2, 3, 4), 8, None, None, None

    def __init__(self) -> None:
        super().__init__()
        self.head, self.scale = Halves(), nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale.expand(len(x), 3, 4, 1, 1)


def test_a_head_of_whole_pixels_judges_itself() -> None:
    model = Pixels()
    image = torch.full((N, 2, 3, 4), 7)
    mask = torch.rand(N, 1, 3, 4) < 0.4
    report = replay_images(model, N, backend="auto", seed=1, given=(image, mask))
    assert (report.backend, report.sites) == ("reference", int((~mask).sum()))
    assert report.equal_samples == 1
    request = RasterRequest(seed=1)
    drawn = sample(model, N, request)
    assert sorted(drawn.unique().tolist()) == [1, 2, 3, 4]
    drawn[2, 1, 1, 3] = 6
    with pytest.raises(AssertionError, match=r"row 2, y 1, x 3: drew \[\d, 6\] with uniforms"):
        replay_images_drawn(model, drawn, request)
    halves = mask.repeat(1, 2, 1, 1)
    halves[3, 1, 2, 1] ^= True
    with pytest.raises(ValueError, match=r"given: mask must take whole pixels, .* in row 3, chann"):
        sample(model, N, RasterRequest(seed=1, given=(image, halves)))
    for wrong in ({"top_k": 2}, {"top_p": 0.5}):
        with pytest.raises(ValueError, match=r"^sample: top_. must be off for the head .*Halves"):
            sample(model, N, RasterRequest(seed=1, **wrong))
