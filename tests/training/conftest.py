"""Training in tests uses one thread: two wait for each other wherever a neighbour is busy."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """For every test of this folder."""
