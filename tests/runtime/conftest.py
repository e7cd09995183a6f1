"""Toy exports for tests of the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import write_toy


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A sampler and its step graph."""
    write_toy(tmp_path / "toy_step", "step")
    return write_toy(tmp_path / "toy", "sampler")
