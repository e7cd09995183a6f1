"""What every refusal of a folder has in common."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from allocations import Allocations

from genfast.models import load

__all__ = ["OBJECTS", "refused"]

# What Python's own objects take, however small a file is.
OBJECTS = 2**19


def refused(folder: Path, message: str, kind: type[Exception] = ValueError) -> None:
    """Asserts that a folder is refused in one line, within a second and twice its own size."""
    start = time.thread_time()
    with pytest.raises(kind, match=message):
        load(folder)
    assert time.thread_time() - start < 1
    with Allocations() as taken, pytest.raises(kind) as caught:
        load(folder)
    text = str(caught.value)
    assert text.startswith("load: ")
    assert "\n" not in text
    assert len(text) < 600
    files = folder.glob("*") if isinstance(folder, Path) else ()
    size = sum(path.stat().st_size for path in files if path.is_file())
    assert taken.python + taken.torch < 2 * size + OBJECTS
