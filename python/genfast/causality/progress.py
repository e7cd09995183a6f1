"""A progress line for work that turns out to be long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["watched"]

T = TypeVar("T")
_PATIENCE = 2.0  # seconds without a line


def watched(parts: Sequence[T], label: str, begin: float) -> Iterator[T]:
    """Yields the parts; a line appears on standard error, if that is a terminal, once `begin` is
    two seconds ago.

    Args:
        parts: Of the work.
        label: What is being done.
        begin: When all the work began, by `time.monotonic`.
    """
    waiting = iter(enumerate(parts))
    for number, part in waiting:
        if sys.stderr.isatty() and time.monotonic() - begin > _PATIENCE:
            yield from _shown(parts[number:], number, len(parts), label)
            return
        yield part


def _shown(left: Sequence[T], done: int, total: int, label: str) -> Iterator[T]:
    """The parts that are left, under a line."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"causality, {label}", total=total, completed=done)
        for part in left:
            yield part
            progress.advance(task)
