"""kill -9 while saving: the folder holds the old model or the new one, to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("killed_saves.py")


def killed_saves(*args: object) -> list[dict[str, Any]]:
    command = [sys.executable, str(PROGRAM), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_kills_at_random_moments(tmp_path: Path, kills: int) -> None:
    rows = killed_saves("random", tmp_path / "run", kills)
    assert len(rows) == kills
    assert all(row["killed"] for row in rows)
    assert {row["width"] for row in rows} <= {5, 17}


def test_a_kill_before_every_step(tmp_path: Path) -> None:
    rows = killed_saves("steps", tmp_path / "run")
    assert [row["killed"] for row in rows] == [True] * (len(rows) - 1) + [False]
    widths = [row["width"] for row in rows]
    assert widths == sorted(widths), "once the new model is there, it stays"
    assert set(widths) == {5, 17}
    # The copy is away from before another file changes until the weights have changed.
    copies = [row["config"] for row in rows]
    assert copies[0]
    assert copies[-1]
    changed = widths.index(17)
    assert not copies[changed - 1]
    assert not copies[changed]
