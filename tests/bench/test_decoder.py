"""The race of decoders: who goes on, what is compared, what a row says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench import bench_decoder, decoder_sides
from bench.bench_decoder import check, fastest, finalists, measure_row
from bench.decoder_sides import EAGER, EXPORTED, MODELS, Contender, Side, Task, laid_out, layouts
from bench.render import table


def contender(kind: str, form: str, value: float = 0.0, threads: int = 1) -> Contender:
    return Contender(kind, form, threads, lambda: np.full((2, 3), value))


def test_all_must_give_the_same():
    entered = [contender(EXPORTED, "decoder", 5e-5), contender(EAGER, "nchw")]
    assert check(entered)["exported | decoder | 1"] == pytest.approx(5e-5)
    with pytest.raises(AssertionError, match=r"exported \| decoder \| 1 is off by 0\.01"):
        check([contender(EXPORTED, "decoder", 0.01), entered[1]])


def test_the_hopeless_do_not_race():
    entered = [contender(EAGER, form) for form in ("a", "b", "c")] + [contender(EXPORTED, "a")]
    first = dict(zip((c.key for c in entered), ([1.0], [1.4], [1.6], [99.0]), strict=True))
    assert [c.key for c in finalists(entered, first)] == [entered[i].key for i in (0, 1, 3)]


def test_the_fastest_has_raced():
    timed = [("a", 9.0, 5), ("b", 10.0, 5), ("c", 1.0, 1)]
    row = {
        "contenders": {
            form: {"kind": EAGER, "form": form, "us": {"median": us, "rounds": rounds}}
            for form, us, rounds in timed
        }
    }
    assert fastest(row, EAGER)["form"] == "a"
    assert fastest(row, EXPORTED) is None


def test_layouts_are_of_convolutions():
    assert layouts(nn.Linear(2, 2)) == ("nchw",)
    module = nn.Conv2d(2, 3, 3)
    assert layouts(module) == ("nchw", "channels_last")
    weight = laid_out(module, "channels_last").weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert module.weight.is_contiguous()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * ("DCGAN" not in n)) for n in MODELS]
)
def test_a_row(monkeypatch, name):
    """All forms agree, and the row makes a line of the table."""
    monkeypatch.setitem(MODELS, "GAN, DCGAN 64", lambda: decoder_sides._dcgan(width=2))
    monkeypatch.setattr(bench_decoder, "settle", lambda: None)
    threads = torch.get_num_threads()
    row = measure_row(Side.of(name), Task(name, 2), 1, 1e-4, also_compiled=False)
    torch.set_num_threads(threads)
    assert max(c["error"] for c in row["contenders"].values()) < bench_decoder.CLOSE
    row["summary"]["compiled"] = row["summary"][EAGER]
    machine = {"cpu": "Test", "usable_cores": 2, "caches": {}}
    versions = {"torch": "2.13.0", "onnxruntime": "1.32.0"}
    results = {"machine": machine | {"versions": versions}, "rows": {name: row}}
    assert f"| {name} | 2 | " in table("decoder", results)
