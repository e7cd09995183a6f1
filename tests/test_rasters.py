"""Drawing images: one seed one image however the work is cut, given pixels, conditions, changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch

from genfast import rasters
from genfast._extension import core
from genfast.compiled import compiled
from genfast.models.pixelcnn import PixelCNN
from genfast.pixels import Layout
from genfast.rasters import RasterRequest, sample
from genfast.testing import replay_images_drawn

BACKENDS = ["cpu", "reference"]
SHAPES = [(1, 1, 1), (1, 1, 7), (1, 5, 1), (1, 9, 7), (3, 1, 1), (3, 2, 5), (2, 5, 1)]
VARIANTS = ["masked", "gated"]


pytestmark = pytest.mark.usefixtures("one_thread")


def model_of(
    shape: tuple[int, int, int] = (1, 5, 4), levels: int = 6, *, seed: int = 0, **options: Any
) -> PixelCNN:
    torch.manual_seed(seed)
    model = PixelCNN(shape, levels, **({"width": 7, "depth": 2} | options))
    # Scores as wide as those of a trained model.
    for parameter in model.parameters():
        parameter.data *= 1.7
    return model


def conditions_of(model: PixelCNN, n: int) -> dict[str, Any]:
    """What a model needs for `n` images, all rows different."""
    given: dict[str, Any] = {}
    if model.classes is not None:
        given["classes"] = torch.arange(n) % model.classes
    if model.vector is not None:
        given["vector"] = torch.randn(n, model.vector)
    if model.features is not None:
        given["features"] = torch.randn(n, model.features, *model.shape[1:])
    return given


def rows_of(conditions: dict[str, Any], row: int) -> dict[str, Any]:
    return {name: value[row : row + 1] for name, value in conditions.items()}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_row_of_a_batch_is_the_image_of_its_index(variant: str, shape: Any) -> None:
    model = model_of(shape, variant=variant, classes=3)
    classes = torch.arange(16) % 3
    torch.set_num_threads(2)
    batch = model.sample(16, seed=4, classes=classes, backend="cpu")
    assert batch.shape == (16, *shape)
    assert batch.dtype == torch.int64
    for i in range(16):
        torch.set_num_threads(1 + i % 3)
        label = classes[i : i + 1]
        one = model.sample(1, seed=4, index=i, classes=label, backend="cpu")
        assert torch.equal(one[0], batch[i])


@pytest.mark.parametrize("width", [1, 5, 17, 32])
def test_threads_and_widths_change_nothing(width: int) -> None:
    model = model_of((1, 6, 5), 16, width=width)
    drawn = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        drawn.append(model.sample(17, seed=9, backend="cpu"))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_where_a_large_batch_is_cut_changes_nothing(monkeypatch: Any) -> None:
    model = model_of((2, 3, 4), classes=5)
    n = 150
    mask = torch.rand(n, 1, 3, 4) < 0.3
    options = {
        "seed": torch.arange(n) * 7,
        "index": torch.arange(n).flip(0),
        "temperature": torch.linspace(0, 2, n),
        "top_k": torch.arange(n) % 7,
        "top_p": torch.linspace(0.2, 1, n),
        "classes": torch.arange(n) % 5,
        "given": (torch.randint(6, (n, 2, 3, 4)), mask),
    }
    whole = model.sample(n, **options, backend="cpu")
    cuts = []
    draw = rasters._draw
    monkeypatch.setattr(rasters, "_BYTES", 0)
    monkeypatch.setattr(
        rasters,
        "_draw",
        lambda m, s, x, rows: cuts.append(len(rows.options.seed)) or draw(m, s, x, rows),
    )
    assert torch.equal(model.sample(n, **options, backend="cpu"), whole)
    assert cuts == [64, 64, 22]


def test_a_cut_keeps_memory_bounded(monkeypatch: Any) -> None:
    """Beyond 64 images, what lies in memory at a time has a limit."""
    monkeypatch.setattr(rasters, "_BYTES", 24 * 2**20)
    model = model_of((1, 16, 16), 2, width=8)
    served, layout = compiled(model), Layout.of(model)
    together = rasters._together(served, layout, 10**9)
    assert 64 < together < 10**4
    scratch = core.Session(served.executor, together).scratch_bytes
    assert 0.9 < (scratch + together * layout.sites * 20) / (24 * 2**20) < 1.1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(1, 4, 3), (3, 2, 3)])
def test_an_image_completed_under_its_seed_is_that_image(backend: str, shape: Any) -> None:
    """Given levels own their uniforms: halves, holes, single channels, all and nothing."""
    model = model_of(shape)
    x = model.sample(5, seed=3, backend=backend)
    half = torch.arange(shape[1])[:, None].expand(shape[1:]) < shape[1] // 2
    masks = [
        half.expand(5, 1, *shape[1:]),
        torch.rand(5, 1, *shape[1:]) < 0.5,
        torch.rand(5, *shape) < 0.5,
        torch.ones(5, 1, *shape[1:], dtype=torch.bool),
        torch.zeros(5, *shape, dtype=torch.bool),
    ]
    for mask in masks:
        # What is not taken may be anything.
        image = torch.where(mask.expand_as(x), x, -999)
        again = model.sample(5, seed=3, given=(image, mask), backend=backend)
        assert torch.equal(again, x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_given_levels_are_kept_and_the_rest_follows_them(backend: str) -> None:
    model = model_of((2, 4, 3))
    image, mask = torch.randint(6, (8, 2, 4, 3)), torch.rand(8, 2, 4, 3) < 0.4
    request = RasterRequest(seed=1, given=(image, mask), backend=backend)
    drawn = sample(model, 8, request)
    assert torch.equal(drawn[mask], image[mask])
    assert not torch.equal(drawn, model.sample(8, seed=1, backend=backend))
    replay_images_drawn(model, drawn, request)
    # Only what stands before a site is seen: the first pixel is drawn as if nothing were given.
    free = ~mask[:, :, 0, 0].any(-1)
    assert free.any()
    assert torch.equal(
        drawn[free, :, 0, 0], model.sample(8, seed=1, backend=backend)[free, :, 0, 0]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_options_of_single_rows(backend: str) -> None:
    model = model_of((3, 2, 3), classes=4, vector=3)
    options = {
        "seed": torch.tensor([5, 2**63 - 1, 0, 5, 5]),
        "index": torch.tensor([9, 2**32 - 1, 0, 9, 9]),
        "temperature": torch.tensor([0.0, 0.5, 1.0, 2.0, 1.0]),
        "top_k": torch.tensor([0, 3, 0, 100, 1]),
        "top_p": torch.tensor([1.0, 1.0, 0.6, 0.9, 1.0]),
    }
    given = conditions_of(model, 5)
    given = {name: value[[0, 1, 2, 3, 0]] for name, value in given.items()}
    batch = model.sample(5, backend=backend, **options, **given)
    for i in range(5):
        own = {name: option[i].item() for name, option in options.items()}
        one = model.sample(1, backend=backend, **own, **rows_of(given, i))
        assert torch.equal(one[0], batch[i])
    # Temperature 0 and top-k 1 draw the best.
    assert torch.equal(batch[0], batch[4])


@pytest.mark.parametrize("backend", BACKENDS)
def test_temperature_0_draws_the_best_level(backend: str) -> None:
    model = model_of((2, 3, 3)).eval()
    drawn = model.sample(2, temperature=0, backend=backend)
    assert torch.equal(drawn[0], drawn[1])
    with torch.no_grad():
        best = model(drawn).argmax(-1).permute(0, 3, 1, 2)
    assert torch.equal(drawn, best)


@pytest.mark.parametrize("backend", BACKENDS)
def test_top_k_and_top_p_leave_only_the_best(backend: str) -> None:
    model = model_of((1, 4, 4), 9).eval()
    for options in ({"top_k": 2}, {"top_p": 0.5}, {"top_k": 4, "top_p": 0.7}):
        drawn = model.sample(12, seed=0, backend=backend, **options)
        with torch.no_grad():
            scores = model(drawn)[:, :, :, 0]
        chosen = scores.gather(-1, drawn[:, 0, :, :, None])
        better = (scores > chosen).sum(-1)
        if "top_k" in options:
            assert better.max() < options["top_k"]
        if "top_p" in options:
            mass = scores.softmax(-1).where(scores > chosen, 0.0).sum(-1)
            assert mass.max() < options["top_p"] + 1e-5
        assert drawn.unique(dim=0).shape[0] > 1


CONDITIONS: list[dict[str, Any]] = [{"classes": 3}, {"vector": 2}, {"classes": 2, "vector": 5}]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", CONDITIONS, ids="-".join)
def test_conditions_reach_the_draw(variant: str, sizes: dict[str, Any]) -> None:
    model = model_of((2, 3, 3), variant=variant, **sizes)
    request = RasterRequest(seed=2, backend="cpu", **conditions_of(model, 6))
    drawn = sample(model, 6, request)
    assert torch.equal(drawn, sample(model, 6, replace(request, backend="reference")))
    replay_images_drawn(model, drawn, request)
    for name in sizes:
        turned = {name: getattr(request, name).roll(1, 0)}
        assert not torch.equal(drawn, sample(model, 6, replace(request, **turned)))


def test_features_steer_the_reference() -> None:
    model = model_of((1, 3, 4), features=2)
    request = RasterRequest(seed=2, backend="reference", **conditions_of(model, 4))
    drawn = sample(model, 4, request)
    replay_images_drawn(model, drawn, request)
    other = replace(request, features=request.features.flip(0))
    assert not torch.equal(drawn, sample(model, 4, other))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 4, 5), (2, 3, 2)])
def test_index_images(variant: str, shape: Any) -> None:
    options = {"input": "embedding", "embedding_width": 3, "variant": variant}
    model = model_of(shape, 11, **options)
    request = RasterRequest(seed=0, backend="cpu")
    drawn = sample(model, 5, request)
    replay_images_drawn(model, drawn, request)
    assert torch.equal(drawn, model.sample(5, seed=0, backend="reference"))
    assert torch.equal(drawn[3:4], model.sample(1, seed=0, index=3, backend="cpu"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_to_draw_is_an_empty_tensor(backend: str) -> None:
    model = model_of((3, 2, 4), classes=3)
    empty = torch.zeros(0, 3, 2, 4, dtype=torch.int64)
    drawn = model.sample(0, classes=empty[:, 0, 0, 0], backend=backend)
    assert drawn.shape == (0, 3, 2, 4)
    assert drawn.dtype == torch.int64
    mask = torch.zeros(0, 1, 2, 4, dtype=torch.bool)
    given = model.sample(0, classes=empty[:, 0, 0, 0], given=(empty, mask), backend=backend)
    assert given.shape == (0, 3, 2, 4)


def test_seed_none_follows_torch() -> None:
    model = model_of()
    torch.manual_seed(12)
    first, second = model.sample(2), model.sample(2)
    torch.manual_seed(12)
    assert torch.equal(model.sample(2), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("backend", BACKENDS)
def test_drawing_evaluates_and_leaves_training_as_found(backend: str) -> None:
    model = model_of()
    model.network.mid.eval()
    training = [part.training for part in model.modules()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        drawn = model.sample(4, seed=0, backend=backend)
    assert [part.training for part in model.modules()] == training
    assert not drawn.requires_grad
    assert torch.equal(model.eval().sample(4, seed=0, backend=backend), drawn)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_other_dtypes_are_drawn_from(dtype: torch.dtype) -> None:
    model, twin = (model_of(classes=2, vector=3).to(dtype) for _ in range(2))
    given = conditions_of(model, 4)
    drawn = model.sample(4, seed=0, backend="cpu", **given)
    assert torch.equal(drawn, twin.float().sample(4, seed=0, backend="cpu", **given))
    assert model.sample(2, seed=0, backend="reference", **conditions_of(model, 2)).shape[0] == 2


def interrupted(call: Callable[[], Any], after: float) -> float:
    """Seconds from a Ctrl-C in the middle of `call` to its KeyboardInterrupt."""
    sent = []

    def press() -> None:
        time.sleep(after)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    presser.join()
    return time.perf_counter() - sent[0]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupted_draw_leaves_the_process_sane(backend: str, number: int) -> None:
    torch.set_num_threads(number)
    model = model_of((1, 64, 64), 16, width=32, depth=4).train()
    small = model_of()
    expected = small.sample(3, seed=0, backend=backend)
    n = 256 if backend == "cpu" else 1
    assert interrupted(lambda: model.sample(n, seed=0, backend=backend), 0.2) < 0.5
    assert all(part.training for part in model.modules())
    assert torch.equal(small.sample(3, seed=0, backend=backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_four_threads_draw_at_once(backend: str) -> None:
    model = model_of((1, 5, 6)).train()
    alone = [model.sample(3, seed=s, backend=backend) for s in range(4)]
    with ThreadPoolExecutor(4) as pool:
        drawn = pool.map(lambda s: model.sample(3, seed=s, backend=backend), range(4))
        assert all(torch.equal(d, a) for d, a in zip(drawn, alone, strict=True))
    assert all(part.training for part in model.modules())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_child_draws_the_same() -> None:
    script = """
        import os, torch
        from genfast.models.pixelcnn import PixelCNN
        torch.set_num_threads(2)
        model = PixelCNN((1, 6, 6), 4, width=16, depth=2)
        before = model.sample(8, seed=0, backend="cpu")
        child = os.fork()
        same = torch.equal(model.sample(8, seed=0, backend="cpu"), before)
        if child == 0:
            os._exit(0 if same else 3)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert same and code == 0, (same, code)
    """
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=True, timeout=60
    )
