"""Rasters as graphs: programs by hand draw what NumPy draws, models what the core draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from rasters import KINDS, chance, fed_inputs, given_of, inputs_of, make_raster

from genfast.exporting.checks import _unfolded, exportable
from genfast.exporting.raster import build_raster
from genfast.heads import LogisticMixture
from genfast.models.pixelcnn import PixelCNN
from genfast.program import interpret
from genfast.rasters import RasterRequest, sample
from genfast.testing import replay_images_drawn

SHAPES = [(5, 6), (1, 1), (1, 7), (5, 1), (9, 7)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
def test_draws_what_the_interpreter_draws(opened: Any, kind: str, shape: tuple[int, int]) -> None:
    written, n = make_raster(kind, shape), 3
    rows, columns, draws = *shape, written.draws
    uniforms = chance(n, rows * columns * draws)
    image = given_of(written, n)
    image[0] = -1
    inputs = inputs_of(written, n)
    by_site = uniforms.reshape(n, -1, draws)
    expected = interpret(written, n, by_site, image, inputs).values
    fed = {
        "uniforms": uniforms,
        "temperature": np.ones((n, 1), np.float32),
        "given": image.reshape(n, rows, columns, -1).transpose(0, 3, 1, 2),
        **fed_inputs(written, inputs),
    }
    for program in (written.optimized(), _unfolded(written)):
        (values,) = opened(build_raster(program, uniforms=True))(**fed)
        drawn = values.transpose(0, 2, 3, 1).reshape(expected.shape)
        np.testing.assert_array_equal(drawn, expected)


def model_of(shape: tuple[int, int, int], levels: int, **options: Any) -> PixelCNN:
    """A model whose distributions are neither flat nor sure."""
    torch.manual_seed(3)
    model = PixelCNN(shape, levels, **options)
    for parameter in model.parameters():
        parameter.data *= 2.5
    return model.eval()


def feeds(request: RasterRequest, model: PixelCNN) -> dict[str, Any]:
    """Feeds of a graph, of a request with a tensor for every option."""
    n = len(request.seed)  # type: ignore[arg-type]
    names = ("seed", "index", "temperature", "top_k", "top_p", "classes", "vector", "features")
    fed = {name: getattr(request, name) for name in names}
    fed = {k: v[:, None] if v.ndim == 1 else v for k, v in fed.items() if v is not None}
    given = torch.full((n, *model.shape), -1)
    if request.given is not None:
        given = torch.where(request.given[1], request.given[0], -1)
    return {name: value.numpy() for name, value in {**fed, "given": given}.items()}


def asked(model: PixelCNN, n: int, **options: Any) -> RasterRequest:
    """Rows that differ in everything."""
    generator = torch.Generator().manual_seed(n)
    named: dict[str, Any] = {
        "seed": torch.randint(2**62, (n,), generator=generator) * 2 + 1,
        "index": torch.randint(2**32, (n,), generator=generator),
        "temperature": torch.tensor([1.0, 0.7, 0.0, 1.3, 2.0])[torch.arange(n) % 5],
    }
    if model.classes:
        named["classes"] = torch.arange(n) % model.classes
    if model.vector:
        named["vector"] = torch.randn(n, model.vector, generator=generator)
    if model.features:
        named["features"] = torch.randn(n, model.features, *model.shape[1:], generator=generator)
    image = torch.randint(model.levels, (n, *model.shape), generator=generator)
    # A draw that gives all channels of a pixel is given whole pixels.
    mask = torch.rand(n, model.parts, *model.shape[1:], generator=generator) < 0.3
    mask[::2] = False
    return RasterRequest(**(named | {"given": (image, mask)} | options))


MODELS: list[tuple[tuple[int, int, int], int, dict[str, Any]]] = [
    ((1, 9, 7), 2, {"variant": "masked", "width": 17}),
    ((1, 9, 7), 5, {"variant": "gated", "width": 5, "classes": 3}),
    ((3, 4, 5), 7, {"variant": "masked", "width": 9, "classes": 4, "depth": 3}),
    ((3, 4, 5), 200, {"variant": "gated", "width": 6, "vector": 2}),
    ((2, 1, 7), 3, {"variant": "gated", "width": 4}),
    ((1, 6, 5), 4, {"variant": "gated", "width": 5, "features": 2, "classes": 2}),
    ((3, 3, 4), 5, {"variant": "masked", "width": 5, "features": 3}),
    ((1, 5, 1), 16, {"variant": "masked", "width": 1, "depth": 1}),
    ((1, 1, 1), 4, {"variant": "gated", "width": 2, "classes": 2}),
    ((1, 6, 4), 33, {"variant": "gated", "width": 5, "input": "embedding", "embedding_width": 3}),
    *(
        ((channels, *sides), levels, {"width": width, **options, "head": head})
        for channels, sides, levels, width, options in (
            (1, (9, 7), 256, 17, {"variant": "masked"}),
            (1, (1, 7), 2, 5, {"variant": "gated", "classes": 3}),
            (3, (9, 7), 256, 5, {"variant": "gated", "classes": 3}),
            (3, (5, 1), 17, 17, {"variant": "masked", "vector": 2}),
            (3, (1, 1), 4, 1, {"variant": "masked", "depth": 1}),
            (2, (4, 5), 1024, 1, {"variant": "gated", "features": 2}),
            (5, (3, 4), 33, 5, {"variant": "gated", "input": "embedding", "embedding_width": 3}),
        )
        for head in (LogisticMixture(levels, 4, channels),)
    ),
]


@pytest.mark.parametrize(("shape", "levels", "options"), MODELS, ids=str)
def test_models(opened: Any, shape: Any, levels: int, options: dict[str, Any]) -> None:
    model = model_of(shape, levels, **{"depth": 2, **options})
    run = opened(build_raster(exportable(model)))
    for n in (1, 6):
        request = asked(model, n)
        drawn = torch.from_numpy(run(**feeds(request, model))[0])
        report = replay_images_drawn(model, drawn, request)
        assert report.skipped == 0
        same = (sample(model, n, request) == drawn).flatten(1).all(-1)
        assert int(same.sum()) >= n - n // 6


def test_kept_sets(opened: Any) -> None:
    model = model_of((1, 5, 4), 9, variant="gated", width=5, depth=2)
    how = {"top_k": "input", "top_p": "input"}
    top = {"top_k": torch.tensor([0, 1, 2, 9, 30]), "top_p": torch.linspace(0.2, 1, 5)}
    request = asked(model, 5, **top)
    drawn = opened(build_raster(exportable(model), **how))(**feeds(request, model))[0]
    replay_images_drawn(model, torch.from_numpy(drawn), request)
    fixed = asked(model, 5, top_k=torch.full((5,), 3), top_p=torch.full((5,), 0.8))
    fed = {k: v for k, v in feeds(fixed, model).items() if not k.startswith("top")}
    drawn = opened(build_raster(exportable(model), top_k=3, top_p=0.8))(**fed)[0]
    replay_images_drawn(model, torch.from_numpy(drawn), fixed)


def test_rows_do_not_know_of_each_other(opened: Any) -> None:
    model = model_of((3, 3, 4), 6, variant="gated", width=5, depth=2, classes=4)
    run, fed = opened(build_raster(exportable(model))), feeds(asked(model, 7), model)
    (together,) = run(**fed)
    for row in range(7):
        (alone,) = run(**{name: value[row : row + 1] for name, value in fed.items()})
        np.testing.assert_array_equal(alone[0], together[row])


@pytest.mark.parametrize("head", [None, LogisticMixture(6, 2, 2)], ids=repr)
def test_no_rows(opened: Any, head: Any) -> None:
    model = model_of((2, 3, 4), 6, variant="masked", width=5, depth=2, head=head)
    fed = {name: value[:0] for name, value in feeds(asked(model, 2), model).items()}
    assert opened(build_raster(exportable(model)))(**fed)[0].shape == (0, 2, 3, 4)


def test_a_level_that_is_none_is_an_error(opened: Any) -> None:
    model = model_of((1, 3, 4), 6, variant="masked", width=5, depth=2)
    fed = feeds(asked(model, 2), model)
    fed["given"][1, 0, 0, 2] = 8
    with pytest.raises(Exception, match="out of data bounds"):
        opened(build_raster(exportable(model)))(**fed)
