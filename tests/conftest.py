"""Fixtures of several folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from gpus import why_not

#: Where it is set, a test for a GPU that cannot run is an error: nothing passes by being skipped.
REQUIRE = "GENFAST_REQUIRE_GPU"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `cuda` are skipped where they cannot run, with the reason."""
    for_gpus = [item for item in items if item.get_closest_marker("cuda")]
    reason = why_not() if for_gpus else None
    if reason is None:
        return
    if os.environ.get(REQUIRE):
        raise pytest.UsageError(f"{REQUIRE} is set, but {reason}")
    for item in for_gpus:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow where a neighbour is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk of a size, such as "64k"; skips where mounting is not allowed."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "genfast", str(path)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a disk is not allowed here")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)
