"""Which GPU these tests draw on."""

from __future__ import annotations

import pytest
from simulated_gpu import SimulatedEngine

from genfast import engines


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """backend="cuda" is a simulated GPU."""
    monkeypatch.setattr(engines, "CudaEngine", SimulatedEngine)
