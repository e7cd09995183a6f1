"""Forms of a masked convolution: all equal, and the benchmark that says so."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from bench import bench_masked_conv
from bench.bench_masked_conv import summary
from bench.conv_forms import FORMS, Mask, usual
from bench.conv_steps import Step, Task, check, layer_form, steps
from bench.harness import spread
from bench.render import table

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize(("k", "side"), [(3, 1), (3, 5), (7, 2), (7, 9)])
def test_forms_are_equal(kind, k, side):
    task = Task(5, k, kind, batch=3, side=side)
    exact = Step(task, usual, False, torch.float64)()
    contenders = steps(task)
    assert len(contenders) == sum(len(layouts) for _, layouts in FORMS.values()) + 1
    assert max(check(task, contenders, exact).values()) < 1e-5


def test_a_form_that_sees_a_dead_tap_is_refused():
    task = Task(4, 3, "A", batch=2, side=5)
    exact = Step(task, usual, False, torch.float64)()

    def wrong(x, weight, bias, mask):
        return usual(x, weight + 0.01, bias, Mask("B", mask.k))

    with pytest.raises(AssertionError, match="4 channels, 3x3 A: wrong is off by"):
        check(task, {"wrong": Step(task, wrong, False)}, exact)


def test_the_layer_keeps_channels_last():
    task = Task(4, 3, "B", batch=2, side=5)
    output = Step(task, layer_form(task), nhwc=False)()[0]
    assert output.is_contiguous(memory_format=torch.channels_last)


def test_the_summary_compares_with_the_usual_form_round_by_round():
    times = {
        "usual, nchw": [200.0, 300.0, 220.0],
        "cropped, nchw": [110.0, 100.0, 140.0],
        "operator, nchw": [50.0, 50.0, 50.0],
        "genfast": [100.0, 100.0, 100.0],
    }
    row = {"fma_peak": 1e9, "contenders": {}}
    for name, values in times.items():
        ratio = bench_masked_conv.side_by_side(times["usual, nchw"], values)
        row["contenders"][name] = {"us": spread(values), "ratio": ratio}
    for name, alone in (("usual, nchw", 300.0), ("genfast", 100.0)):
        row["contenders"][name]["alone"] = {"us": {"median": alone}}
    best = bench_masked_conv.best_plain(row)
    lead = bench_masked_conv.side_by_side(times[best], times["genfast"])
    row["best_plain"] = {"name": best, "over_ours": lead}
    found = summary(Task(2, 3, "B", batch=1, side=10), row)
    assert (found["us"], found["usual_us"]) == (100.0, 220.0)
    assert (found["ratio"], found["alone_ratio"]) == (2.2, 3.0)
    assert (found["best"], found["best_us"]) == ("cropped, nchw", 110.0)
    assert (found["best_ratio"], found["lead"]) == (1.818, 1.1)
    assert found["share_of_peak"] == pytest.approx(3 * 100 * 5 * 4 / 1e9 / 100e-6)


@pytest.mark.slow
def test_quick_run_writes_a_row_of_forms(tmp_path, monkeypatch):
    out = tmp_path / "masked_conv.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(out), "--threads", "1"])
    bench_masked_conv.main()
    (row,) = json.loads(out.read_text())["rows"].values()
    assert row["contenders"]["genfast"]["alone"]["us"]["low"] > 0
    assert row["contenders"]["operator, channels_last"]["ratio"]["rounds"] > 0
    assert row["summary"]["ratio"] > 0
    text = table(
        "masked_conv", {"rows": {"row": row}, "machine": json.loads(out.read_text())["machine"]}
    )
    assert "| 16 channels, 3x3 B | 4 |" in text
