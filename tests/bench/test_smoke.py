"""Whole runs: the quick benchmark, and the memory of a long draw."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bench import memory
from bench.render import ROOT

HAND_MADE = {"onnx step", "onnx scan"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "engines"),
    [
        ("recurrent", {*HAND_MADE, "torch eager", "torch.compile"}),
        ("export", {*HAND_MADE, "onnx loop", "onnx export"}),
    ],
)
def test_quick_run_writes_a_row(tmp_path, name, engines):
    out = tmp_path / f"{name}.json"
    module = f"bench.bench_{name}"
    command = [sys.executable, "-m", module, "--quick", "--rows", "gru", "--out", out]
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=True)
    row = json.loads(out.read_text())["rows"]["gru 1x128 batch 1"]
    assert engines < {contender["engine"] for contender in row["contenders"].values()}
    assert row["summary"]["us"] > 0


def test_memory_grows_with_the_output_alone():
    grown, drawn = memory.growth(rows=2)
    assert grown <= 1.5 * drawn + 2**20
