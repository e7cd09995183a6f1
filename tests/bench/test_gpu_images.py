"""Drawers of images on a GPU draw what the core draws; here they run on the processor."""

from __future__ import annotations

import pytest
import torch

from bench import bench_gpu_pixelcnn, gpu_side
from bench.bench_gpu_pixelcnn import GpuImages, Judge, make_model
from bench.gpu_images import cached_draw, naive_draw
from bench.gpu_runner import Setting
from bench.image_forwards import forwards
from bench.image_race import Effort
from bench.image_task import CACHED, FORWARD, NAIVE, OURS, Contender, ImageTask

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def row(variant: str, channels: int, precision: str = "float32") -> GpuImages:
    return GpuImages(ImageTask(variant, 7, channels, 5, 2, depth=2), precision)


def ours(row: GpuImages, side: str) -> torch.Tensor:
    made = gpu_side.executor(make_model(row, CPU), side, row.precision)
    draw = gpu_side.contender(made, row.task.uniforms(), images=True)
    first = draw.run()
    assert draw.run().equal(first)
    return first


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_naive_and_cached_draw_what_the_core_draws(variant: str, channels: int) -> None:
    task = row(variant, channels)
    model, uniforms, drawn = make_model(task, CPU), task.task.uniforms(), ours(task, "cpu")
    passing = next(forwards(model, compiled=False))
    naive = naive_draw(model, passing, uniforms, sites=25)
    assert naive.scale == 1
    assert all(naive.run().equal(drawn.flatten(1)) for _ in range(2))
    few = naive_draw(model, passing, uniforms, sites=3)
    assert few.scale == pytest.approx(25 / 3)
    assert few.run().equal(drawn.flatten(1)[:, : 3 * channels])
    program = model.program().optimized()
    assert cached_draw(program, task.task, uniforms, torch.float32, False).run().equal(drawn)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_simulated_gpu_draws_what_the_core_draws(precision: str) -> None:
    task = row("masked", 1, precision)
    assert ours(task, "simulated").equal(ours(task, "cpu"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_has_every_rival(precision: str) -> None:
    setting = Setting(CPU, "cpu", Effort(0.001, 1, 0.01), compiled=False)
    found = bench_gpu_pixelcnn.measure(row("gated", 1, precision), setting)
    assert found["left_out"] == {}
    kinds = {c["kind"] for c in found["contenders"].values()}
    assert kinds == {OURS, FORWARD, NAIVE, CACHED}
    s = found["summary"]
    assert s["forwards"] == pytest.approx(s["ms"] / s["forward_ms"], rel=0.01)
    assert bench_gpu_pixelcnn.line(s)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_images_that_rounding_does_not_explain_are_refused(precision: str) -> None:
    task = row("masked", 1, precision)
    judge = Judge(task, make_model(task, CPU), task.task.uniforms())
    drawn = ours(task, "cpu")
    contender = Contender(OURS, "core", 1, lambda: drawn)
    assert judge.check(contender, drawn) == {"equal_samples": 1, "judged": 0, "farthest": 0}
    with pytest.raises(AssertionError, match=r"differs .* from an edge"):
        judge.check(contender, 1 - drawn)


def test_a_pass_that_computes_otherwise_is_refused() -> None:
    task = row("masked", 1)
    judge = Judge(task, make_model(task, CPU), task.task.uniforms())
    contender = Contender(FORWARD, "eager", 1, lambda: None)
    judge.check(contender, torch.ones(4))
    with pytest.raises(AssertionError, match=r"scores are 2\.0e-04 off"):
        judge.check(contender, torch.ones(4) + 2e-4)
