"""A line on the terminal for what takes longer than one likes to wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import TypeVar

__all__ = ["watched"]

Item = TypeVar("Item")

# Seconds; who is done sooner shows nothing.
_PATIENCE = 2.0


def watched(items: Sequence[Item], what: str, begin: float | None = None) -> Iterator[Item]:
    """The items; from two seconds on with a line of how far one is, where a terminal shows it.

    Args:
        items: What is gone through.
        what: What is done with them, such as "reading pictures".
        begin: When all the work began, by `time.monotonic`; now when None, infinity for no line.
    """
    begin = monotonic() if begin is None else begin
    for done, item in enumerate(items):
        if sys.stderr.isatty() and monotonic() - begin > _PATIENCE:
            yield from _shown(items, done, what)
            return
        yield item


def _shown(items: Sequence[Item], done: int, what: str) -> Iterator[Item]:
    """The items that are left, under a line."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as line:
        task = line.add_task(what, total=len(items), completed=done)
        for item in items[done:]:
            yield item
            line.advance(task)
