"""The cached PyTorch drawer draws the very images of the core, on the same uniforms."""

from __future__ import annotations

import pytest
import torch

import genfast
from bench.cached_torch import CachedDrawer
from bench.image_contenders import core_draw
from bench.image_task import ImageTask
from genfast import PixelCNN
from genfast.compiled import compiled

pytestmark = pytest.mark.usefixtures("one_thread")


def images(task, model):
    kept, uniforms = compiled(model), task.uniforms()
    drawer = CachedDrawer(kept.program, task.batch, compiled=False)
    return drawer, uniforms, core_draw(task, kept.executor, uniforms, 1).run()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("width", "side", "batch", "depth"), [(5, 1, 1, 1), (7, 2, 3, 2), (8, 9, 2, 3)]
)
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_draws_the_images_of_the_core(variant, width, side, batch, depth, channels):
    task = ImageTask(variant, width, channels, side, batch, depth)
    drawer, uniforms, ours = images(task, task.model())
    drawn = drawer.draw(uniforms)
    assert drawn.shape == (batch, side * side, channels)
    assert drawn.equal(ours)
    assert drawer.draw(uniforms).equal(ours)  # nothing is left of the draw before


@pytest.mark.parametrize("shape", [(1, 3, 5), (2, 7, 1)])
def test_draws_images_that_are_not_square(shape):
    torch.manual_seed(1)
    model = PixelCNN(shape, levels=6, width=6, depth=2).eval()
    channels, rows, columns = shape
    ours = model.sample(4, seed=3, backend="cpu").flatten(2).mT
    uniforms = genfast.random.uniforms(3, 4, ours[0].numel()).view(4, rows * columns, channels)
    assert CachedDrawer(compiled(model).program, 4, compiled=False).draw(uniforms).equal(ours)


def test_another_weight_draws_other_images():
    task = ImageTask("gated", 8, 1, 9, 2, 2)
    model = task.model()
    _, uniforms, ours = images(task, model)
    with torch.no_grad():
        model.network.blocks[1].horizontal.weight[:, :, 0, 0] += 0.2
    drawer = CachedDrawer(compiled(model).program, task.batch, compiled=False)
    assert not drawer.draw(uniforms).equal(ours)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of torch.jit
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_compiled_draws_the_same(variant):
    task = ImageTask(variant, 8, 3, 5, 2, 2)
    torch.compiler.reset()
    model = task.model()
    _, uniforms, ours = images(task, model)
    drawer = CachedDrawer(compiled(model).program, task.batch, compiled=True)
    assert all(drawer.draw(uniforms).equal(ours) for _ in range(3))
