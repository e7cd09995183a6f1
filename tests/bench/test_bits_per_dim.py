"""The hand-written PixelCNN is genfast's, its loop is `fit`'s, and the benchmark says so."""

from __future__ import annotations

import ast
import json
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch

from bench import bench_bits_per_dim, plain_pixelcnn
from bench.bench_bits_per_dim import QUICK, by_hand, check_network, check_steps, copied, ours
from bench.plain_pixelcnn import Recipe, shuffled
from genfast import data

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images():
    return data.digits().take(torch.arange(40))


@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_it_is_the_same_network_and_the_same_loop(variant, images):
    assert check_network(variant, images, QUICK) < 1e-9
    assert check_steps(variant, images, QUICK) < 1e-5


@pytest.mark.parametrize("variant", ["masked", "gated"])
def test_another_network_is_refused(variant, images, monkeypatch):
    monkeypatch.setattr(bench_bits_per_dim, "copied", lambda model, plain: plain)
    with pytest.raises(AssertionError, match=f"{variant}: log-probabilities are"):
        check_network(variant, images, QUICK)


def test_another_loop_is_refused(images, monkeypatch):
    rate = Recipe.rate
    monkeypatch.setattr(Recipe, "rate", lambda self, step: 1.02 * rate(self, step))
    with pytest.raises(AssertionError, match="masked: losses are"):
        check_steps("masked", images, QUICK)


def test_weights_of_another_network_do_not_fit(images):
    with pytest.raises(RuntimeError, match="Unexpected key"):
        copied(ours("gated", images, QUICK, 0), by_hand("masked", images, QUICK, 0))


def test_the_plain_side_imports_no_genfast():
    tree = ast.parse(Path(plain_pixelcnn.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    roots = {name.split(".")[0] for name in imported}
    assert roots == {"__future__", "collections", "dataclasses", "math", "torch"}


def test_every_image_comes_once_an_epoch():
    x, labels = torch.arange(10).view(10, 1, 1, 1), torch.arange(10)
    batches = list(islice(shuffled(x, labels, 4, 0), 6))
    assert [len(rows) for rows, _ in batches] == [4, 4, 2] * 2
    for epoch in (batches[:3], batches[3:]):
        assert torch.cat([rows for rows, _ in epoch]).unique().tolist() == list(range(10))
        assert all(rows.flatten().equal(these) for rows, these in epoch)


def test_quick_run_compares_both_sides_and_resumes(monkeypatch, tmp_path, capsys):
    out = tmp_path / "bits.json"
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(out)])
    bench_bits_per_dim.main()
    found = json.loads(out.read_text())
    for row in found["rows"].values():
        assert list(row["runs"]) == ["genfast 0", "plain 0", "genfast 1", "plain 1"]
        s = row["summary"]
        pairs = [
            row["runs"][f"genfast {seed}"]["held_out"] - row["runs"][f"plain {seed}"]["held_out"]
            for seed in (0, 1)
        ]
        assert s["difference"] == pytest.approx(sum(pairs) / 2, abs=1e-4)
        assert s["standard_error"] == pytest.approx(abs(pairs[0] - pairs[1]) / 2, abs=1e-4)
        assert 3 < s["genfast"]["low"] <= s["genfast"]["mean"] <= s["genfast"]["high"] < 4.3
    assert "gated plain seed 1: step 12 of 12" in capsys.readouterr().out
    del found["rows"]["masked"]["runs"]["plain 1"]
    out.write_text(json.dumps(found))
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--resume"])
    bench_bits_per_dim.main()
    again = json.loads(out.read_text())["rows"]
    assert again["gated"]["runs"] == found["rows"]["gated"]["runs"]
    assert len(again["masked"]["runs"]) == 4
    assert capsys.readouterr().out.count("step 12 of 12") == 1
