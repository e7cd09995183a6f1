"""Killed with -9 at random moments and resumed, a run ends in the bits of an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import genfast

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("lstm", 5),
        pytest.param("game", 3, marks=pytest.mark.slow),
        pytest.param("lstm", 50, marks=pytest.mark.slow),
        pytest.param("game", 50, marks=pytest.mark.slow),
    ],
)
def test_kills_at_random_moments_change_nothing(kind: str, kills: int, tmp_path: Path) -> None:
    paths = [str(Path(genfast.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(HERE / "endure.py"), str(tmp_path), kind, str(kills)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads((tmp_path / "facts.json").read_text())
    print(facts)
    assert facts["kills"] >= kills - max(1, kills // 5)  # few lives may end by themselves
    endured = torch.load(tmp_path / "endured.pt", weights_only=True)
    expected = torch.load(tmp_path / "uninterrupted.pt", weights_only=True)
    for name, weight in expected["weights"].items():
        assert torch.equal(endured["weights"][name], weight)
    if kind == "lstm":
        for name, weight in genfast.load(tmp_path / "run").state_dict().items():
            assert torch.equal(expected["weights"][name], weight)
    for name, column in expected["history"]["values"].items():
        assert torch.equal(endured["history"]["values"][name].nan_to_num(), column.nan_to_num())
    assert endured["history"]["held_out"] == expected["history"]["held_out"]
    assert endured["history"]["epoch_steps"] == expected["history"]["epoch_steps"]
    assert not list((tmp_path / "run").glob(".*"))
    rows = [(tmp_path / run / "log.csv").read_text().splitlines() for run in ("run", "spare")]
    timeless = [[row.split(",")[:2] + row.split(",")[3:] for row in lines] for lines in rows]
    assert timeless[0] == timeless[1]
