"""Benchmarks of a GPU: their budget, what fails, and what is kept."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import bench_gpu_machine, bench_gpu_reparameterize, gpu, gpu_runner, gpu_small
from bench.gpu_runner import Bench, Everybody, Setting
from bench.image_race import Effort
from bench.image_task import OURS, Contender

pytestmark = pytest.mark.usefixtures("one_thread")
SETTING = Setting(torch.device("cpu"), "simulated", Effort(0.001, 1, 0.01), compiled=False)


@dataclass(frozen=True)
class Toy:
    name: str


def toy(measure: Any) -> Bench:
    tasks = [Toy("a"), Toy("b"), Toy("c")]
    return Bench("gpu-toy", None, tasks, tasks[:1], measure, str)


def run(monkeypatch: Any, out: Path, measure: Any, *options: str) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["bench", "--device", "cpu", "--out", str(out), *options])
    monkeypatch.setattr(gpu, "exact_products", lambda: None)
    status = 0
    try:
        gpu_runner.run(toy(measure))
    except SystemExit as end:
        status = end.code
    return json.loads(out.read_text()) | {"status": status}


def test_without_a_gpu_nothing_is_measured(monkeypatch, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    out = tmp_path / "toy.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        gpu_runner.run(toy(lambda task, setting: {}))
    assert end.value.code == 3
    assert capsys.readouterr().out == "no GPU that PyTorch can use: nothing was measured\n"
    assert not out.exists()


def test_a_failed_row_does_not_take_the_others(monkeypatch, tmp_path):
    def measure(task: Toy, setting: Setting) -> Any:
        assert task.name != "b", "drawn otherwise"
        return {"summary": {"us": 1}}

    found = run(monkeypatch, tmp_path / "toy.json", measure)
    assert found["status"] == 1
    assert found["rows"]["b"]["failed"].startswith("AssertionError: drawn otherwise")
    assert [name for name, row in found["rows"].items() if "summary" in row] == ["a", "c"]


def test_the_budget_ends_between_rows(monkeypatch, tmp_path):
    found = run(monkeypatch, tmp_path / "toy.json", lambda *_: {"summary": {}}, "--budget", "-1")
    assert found["rows"] == {}
    assert found["not_reached"] == ["a", "b", "c"]
    assert found["status"] == 0


def test_rows_without_torch_compile_are_measured_again_with_it(monkeypatch, tmp_path):
    out, seen = tmp_path / "toy.json", []

    def measure(task: Toy, setting: Setting) -> Any:
        seen.append((task.name, setting.compiled))
        return {"summary": {}}

    run(monkeypatch, out, measure, "--no-compile", "--rows", "a")
    run(monkeypatch, out, measure, "--no-compile", "--resume", "--rows", "a")
    assert seen == [("a", False)]
    run(monkeypatch, out, measure, "--resume")
    run(monkeypatch, out, measure, "--resume", "--no-compile")
    assert seen[1:] == [("a", True), ("b", True), ("c", True)]


def test_a_row_that_fails_later_keeps_what_was_measured(monkeypatch, tmp_path):
    out = tmp_path / "toy.json"

    def measure(task: Toy, setting: Setting) -> Any:
        if setting.compiled:
            raise RuntimeError("no compiler")
        return {"summary": {"us": 1}}

    run(monkeypatch, out, measure, "--no-compile", "--rows", "a")
    found = run(monkeypatch, out, measure, "--resume", "--rows", "a")
    assert found["status"] == 1
    assert found["rows"]["a"]["summary"] == {"us": 1}
    assert found["rows"]["a"]["failed_later"] == "RuntimeError: no compiler"


def test_a_rival_that_fails_is_left_out_and_genfast_is_not():
    def broken() -> Contender:
        raise MemoryError("too large")

    everybody = Everybody(SETTING, lambda contender, made: {"made": made})
    with pytest.raises(MemoryError):
        everybody.enter(OURS, broken)
    everybody.enter(OURS, lambda: Contender(OURS, "core", 1, lambda: 7))
    everybody.enter("rival", broken)
    assert everybody.left_out == {"rival": "MemoryError: too large"}
    assert [row["made"] for row in everybody.described().values()] == [7]


def test_latents_of_a_row_are_proved_and_timed():
    task = bench_gpu_reparameterize.QUICK[0]
    row = bench_gpu_reparameterize.measure(task, SETTING)
    assert row["left_out"] == {}
    for mode in ("forward", "with_backward"):
        assert row[mode]["error"] < 2e-6
        assert row["summary"][mode]["eager"]["us"] > 0
    assert bench_gpu_reparameterize.line(row["summary"])


@pytest.mark.parametrize("task", bench_gpu_machine.QUICK, ids=lambda task: task.name)
def test_ceilings_are_measured(task):
    row = bench_gpu_machine.measure(task, SETTING)
    assert all(value >= 0 for value in row["summary"].values())
    assert bench_gpu_machine.line(row["summary"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", [c for c in gpu_small.CASES if not c.whole], ids=lambda c: c.name)
def test_small_draws_of_a_simulated_gpu_are_the_core_s(case, precision):
    count, plan = gpu_small.differing(case, "simulated", precision)
    assert count == 0
    assert plan == "blocks 1, grid False, barriers 0"


def test_small_draws_that_differ_are_counted(monkeypatch):
    whole = gpu_small.gpu_side.contender

    def other(made: Any, uniforms: torch.Tensor, *options: Any) -> Contender:
        simulated = hasattr(made, "plan")
        return whole(made, 0.5 * uniforms if simulated else uniforms, *options)

    monkeypatch.setattr(gpu_small.gpu_side, "contender", other)
    assert gpu_small.differing(gpu_small.CASES[0], "simulated", "float32")[0] == 3
