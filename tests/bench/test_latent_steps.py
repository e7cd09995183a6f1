"""The benchmark of reparameterize: both sides equal, and what its summary compares."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from bench import bench_reparameterize, latent_steps
from bench.bench_reparameterize import summary
from bench.latent_steps import Step, Task, check, plain, steps
from bench.render import table

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_both_sides_are_equal(dtype, backward):
    assert check(Task(33, 17, dtype), backward) < 1e-2


def test_another_noise_is_refused(monkeypatch):
    monkeypatch.setattr(latent_steps, "normals", lambda seed, *shape: torch.zeros(shape))
    with pytest.raises(AssertionError, match="3x5 float32: genfast is off by"):
        check(Task(3, 5), False)


def test_steps_give_results_and_gradients():
    task = Task(3, 5)
    for step in steps(task, True, 1, compiled=False).values():
        assert [tuple(x.shape) for x in step()] == [(3, 5), (3,), (3, 5), (3, 5)]
    assert len(Step(task, plain, 1, False)()) == 2


def test_bytes_are_those_that_must_move():
    assert Task(10, 20).bytes(False) == 2400
    assert Task(10, 20, "bfloat16").bytes(True) == 3200


def test_the_summary_compares_with_the_better_number_of_threads():
    timed = {
        "genfast, 1 thread": [2e-6, 3e-6],
        "genfast, 2 threads": [1e-6, 2e-6],
        "eager, 1 thread": [9e-6, 9e-6],
        "eager, 2 threads": [8e-6, 8e-6],
    }
    found = summary(Task(10, 10), False, timed, {1: [1e9, 1e9], 2: [2e9, 2e9]})
    assert found["eager"] == {"us": 8.0, "ratio": 6.0, "low": 4.0}
    assert (found["us"], found["threads"]) == (1.5, 2)
    assert (found["floor_us"], found["share_of_floor"]) == (0.6, 0.4)


def test_a_quick_run_writes_a_row(tmp_path, monkeypatch):
    out = tmp_path / "reparameterize.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(out), "--threads", "1"])
    bench_reparameterize.main()
    results = json.loads(out.read_text())
    (row,) = results["rows"].values()
    assert row["summary"]["with_backward"]["eager"]["ratio"] > 0
    for mode in row["summary"].values():
        mode["compiled"] = mode["eager"]
    assert "| latents of 16, float32 | 64 |" in table("reparameterize", results)
