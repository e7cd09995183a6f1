"""A line on the terminal for what takes longer than one likes to wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import TypeVar

__all__ = ["watched"]

Item = TypeVar("Item")

# Seconds; who is done sooner shows nothing.
_PATIENCE = 2.0


def watched(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items; from two seconds on with a line of how far one is, where a terminal shows it.

    Args:
        items: What is gone through.
        what: What is done with them, such as "reading pictures".
    """
    begun = monotonic()
    with ExitStack() as stack:
        for done, item in enumerate(items):
            yield item
            if sys.stderr.isatty() and monotonic() - begun > _PATIENCE:
                yield from _shown(items, done + 1, what, stack)
                return


def _shown(items: Sequence[Item], first: int, what: str, stack: ExitStack) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import Progress

    line = stack.enter_context(Progress(console=Console(stderr=True)))
    task = line.add_task(what, total=len(items), completed=first)
    for item in items[first:]:
        yield item
        line.advance(task)
