"""Tests for a GPU say why they do not run, and fail where they must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpus
import pytest
import torch


class Core:
    """A core that was built, and sees, what a test wants."""

    def __init__(self, cuda: bool, *devices: str) -> None:
        self._cuda, self._devices = cuda, list(devices)

    def build_info(self) -> dict[str, bool]:
        return {"cuda": self._cuda}

    def cuda_devices(self) -> list[str]:
        return self._devices


@pytest.mark.parametrize(
    ("core", "usable", "capability", "reason"),
    [
        (Core(False), False, None, "the core was built without CUDA"),
        (Core(True), False, None, "no GPU"),
        (Core(True, "a GPU"), False, None, "PyTorch cannot use the GPU"),
        (Core(True, "a GPU"), True, (7, 5), "the GPU is too old: sm_75, sm_80 is the oldest"),
        (Core(True, "a GPU"), True, (8, 0), None),
        (Core(True, "a GPU"), True, (9, 0), None),
    ],
)
def test_the_reason_is_what_is_missing_first(
    monkeypatch: pytest.MonkeyPatch,
    core: Core,
    usable: bool,
    capability: tuple[int, int] | None,
    reason: str | None,
) -> None:
    monkeypatch.setattr(gpus, "core", core)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert gpus.why_not() == reason


class Item:
    """A test as pytest collects it."""

    def __init__(self, *markers: str) -> None:
        self._markers, self.added = markers, []

    def get_closest_marker(self, name: str) -> bool:
        return name in self._markers

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.added.append((mark.name, mark.kwargs))


@pytest.fixture
def hook(request: pytest.FixtureRequest) -> Any:
    """The conftest of all tests, as pytest has loaded it."""
    path = str(Path(__file__).parent / "conftest.py")
    return request.config.pluginmanager.get_plugin(path)


def test_without_a_gpu_they_are_skipped_with_the_reason(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hook.REQUIRE, raising=False)
    monkeypatch.setattr(hook, "why_not", lambda: "no GPU")
    marked, other = Item("slow", "cuda"), Item("slow")
    hook.pytest_collection_modifyitems([marked, other])
    assert marked.added == [("skip", {"reason": "no GPU"})]
    assert other.added == []


def test_where_a_gpu_is_required_they_are_an_error(
    hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hook.REQUIRE, "1")
    monkeypatch.setattr(hook, "why_not", lambda: "no GPU")
    hook.pytest_collection_modifyitems([Item("slow")])
    with pytest.raises(pytest.UsageError, match="GENFAST_REQUIRE_GPU is set, but no GPU"):
        hook.pytest_collection_modifyitems([Item("cuda")])


def test_with_a_gpu_they_run(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hook.REQUIRE, "1")
    monkeypatch.setattr(hook, "why_not", lambda: None)
    marked = Item("cuda")
    hook.pytest_collection_modifyitems([marked])
    assert marked.added == []
