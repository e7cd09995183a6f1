"""Mutated folders: each is refused in one line, or loads to finite weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import OBJECTS
from tally import run


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_folders(tmp_path: Path, count: int) -> None:
    tally = run(tmp_path, count)
    assert tally.outcomes.total() == count
    # Neither a mutator that breaks everything nor one that breaks nothing says much.
    assert 0.03 < tally.outcomes["loaded"] / count < 0.5
    assert len(tally.reasons) > 20
    assert tally.slowest < 1
    assert tally.excess < OBJECTS
    assert tally.largest <= 1
