"""Recurrent rivals of a GPU draw what the core draws; here they run on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import genfast
from bench import bench_gpu_recurrent, gpu, gpu_onnx, gpu_side
from bench.bench_gpu_recurrent import TASKS, GpuTask, Judge
from bench.genfast_side import make_model
from bench.gpu_recurrent import ENGINES, FORMS, Place, Rivals, offers, rival_name
from bench.gpu_runner import Setting
from bench.harness import AS_WRITTEN, SAME_ALGEBRA
from bench.image_race import Effort
from bench.image_task import OURS, Contender
from bench.task import Task

pytestmark = pytest.mark.usefixtures("one_thread")
CPU, SITES = torch.device("cpu"), 12
CELLS = [("lstm", 1), ("lstm", 3), ("gru", 1), ("gru", 2)]


def row(cell: str, depth: int, precision: str = "float32") -> GpuTask:
    return GpuTask(Task(cell, 24, depth, 3, 11), precision)


def uniforms(row: GpuTask) -> torch.Tensor:
    return genfast.random.uniforms(4, row.task.batch, SITES)[..., None]


def ours(row: GpuTask, side: str) -> torch.Tensor:
    model = make_model(row.task, row.weights())
    made = gpu_side.executor(model, side, row.precision)
    return gpu_side.contender(made, uniforms(row), images=False).run().squeeze(-1)


def rivals(row: GpuTask, dtype: torch.dtype = torch.float32) -> Rivals:
    return Rivals(row.task, row.weights(), Place(CPU, dtype), uniforms(row))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("cell", "depth"), CELLS)
def test_every_form_draws_what_the_core_draws(cell: str, depth: int, engine: str) -> None:
    task = row(cell, depth)
    drawn = ours(task, "cpu")
    made = rivals(task)
    for form in {form for form, _, _ in offers(task.task, False)}:
        contender = made.make(form, engine, False)
        for _ in range(2):  # nothing is left of the draw before
            assert contender.run().equal(drawn), form
        assert contender.kind == (AS_WRITTEN if form in ("module", "cell") else SAME_ALGEBRA)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_simulated_gpu_draws_what_the_core_draws(precision: str) -> None:
    task = row("lstm", 2, precision)
    assert ours(task, "simulated").equal(ours(task, "cpu"))


@pytest.mark.parametrize(("cell", "depth"), CELLS)
def test_bfloat16_is_within_its_own_rounding(cell: str, depth: int) -> None:
    """Of 36 draws most are the same: gates and states of the folded forms are float32."""
    task = row(cell, depth, "bfloat16")
    drawn, made = ours(task, "cpu"), rivals(task, torch.bfloat16)
    judge = Judge(task, task.weights(), uniforms(task))
    judge.check(Contender(OURS, "core", 1, lambda: drawn), drawn)
    for form in {form for form, _, _ in offers(task.task, False)}:
        contender = made.make(form, "all sites", False)
        facts = judge.check(contender, contender.run())
        assert facts["equality"] == {"draws": 36, "skipped": 0}


@pytest.mark.parametrize("form", ["operator", "gemm"])
@pytest.mark.parametrize(("kind", "folded"), [(AS_WRITTEN, False), (SAME_ALGEBRA, True)])
def test_bound_onnx_runtime_draws_what_the_core_draws(kind: str, folded: bool, form: str) -> None:
    task = row("gru", 2)
    made = gpu_onnx.make(task.task, task.weights(), kind, form, folded, uniforms(task))
    assert all(made.run().equal(ours(task, "cpu")) for _ in range(2))


def test_without_a_provider_onnx_runtime_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_onnx.onnxruntime, "get_available_providers", lambda: ["Other"])
    task = row("gru", 1)
    with pytest.raises(RuntimeError, match="no CPUExecutionProvider, only Other"):
        gpu_onnx.make(task.task, task.weights(), AS_WRITTEN, "gemm", False, uniforms(task))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_wrong_draws_are_refused(precision: str) -> None:
    task = row("lstm", 1, precision)
    drawn = ours(task, "cpu")
    judge = Judge(task, task.weights(), uniforms(task))
    contender = Contender(OURS, "core", 1, lambda: drawn)
    assert judge.check(contender, drawn)["equal_samples"] == 1
    with pytest.raises(AssertionError, match="outside="):
        judge.check(contender, (drawn + 5) % 11)


def test_another_weight_is_refused() -> None:
    task = row("lstm", 1)
    weights = task.weights()
    weights.layers[0].w_hh[:] *= 1.5
    other = Rivals(task.task, weights, Place(CPU, torch.float32), uniforms(task))
    judge = Judge(task, task.weights(), uniforms(task))
    contender = other.make("linear", "eager", False)
    with pytest.raises(AssertionError, match="outside="):
        judge.check(contender, contender.run())


def test_a_row_has_every_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_gpu_recurrent, "SITES", SITES)
    found = bench_gpu_recurrent.measure(
        row("lstm", 2), Setting(CPU, "cpu", Effort(0.001, 1, 0.01), compiled=False)
    )
    assert found["left_out"] == {}
    forms = {c["form"] for c in found["contenders"].values()}
    assert forms >= {rival_name(form, engine, False) for form in FORMS for engine in ENGINES}
    assert forms >= {"onnxruntime gemm", "onnxruntime operator"}
    s = found["summary"]
    assert s["equal_samples"] == 1
    assert s["same_algebra"]["us"] == pytest.approx(s["us"] * s["same_algebra"]["ratio"], rel=0.01)
    assert bench_gpu_recurrent.line(s)


def test_rows_cover_what_is_claimed() -> None:
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names) == 2 * 2 * 4 * 6 * 2
    assert names[0].startswith("lstm 1x512 batch")


def test_bfloat16_is_rounded_to_the_nearest() -> None:
    values = np.float32([1, 1 + 2**-8, 1 + 2**-7, 3 * 2**-9 + 1])
    assert gpu.to_bfloat16(values).tolist() == [1, 1, 1 + 2**-7, 1 + 2**-7]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of torch.jit
def test_compiled_steps_draw_the_same() -> None:
    task = row("lstm", 2)
    torch.compiler.reset()
    made, drawn = rivals(task), ours(task, "cpu")
    for form, engine, compiled in offers(task.task, True):
        if compiled:
            assert made.make(form, engine, True).run().equal(drawn), (form, engine)
