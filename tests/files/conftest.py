"""Tests of files: one thread, for what is computed is tiny."""

from __future__ import annotations

from pathlib import Path

import pytest
from saved_models import model_of


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For every test of this folder."""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model_of().save(tmp_path / "run")
    return tmp_path / "run"
