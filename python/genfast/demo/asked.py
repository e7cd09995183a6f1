"""What every demo does with its options: checks them, and makes a folder of its own."""

from __future__ import annotations

import math
from itertools import count
from pathlib import Path
from typing import Any

__all__ = ["check_options", "new_folder"]


def check_options(options: Any, above: tuple[str, ...], whole: tuple[str, ...]) -> None:
    """ValueError for a number that is out of range, FileExistsError for a folder that is there.

    Args:
        options: With `seed` and `out`.
        above: Names of numbers that must be above 0.
        whole: Names of numbers that must be at least 1.
    """
    for name in above:
        if not 0 < getattr(options, name) < math.inf:
            raise ValueError(f"demo: {name} must be above 0, got {getattr(options, name)}")
    for name in whole:
        if getattr(options, name) < 1:
            raise ValueError(f"demo: {name} must be at least 1, got {getattr(options, name)}")
    if not 0 <= options.seed < 2**63:
        raise ValueError(f"demo: seed must be at least 0 and below 2**63, got {options.seed}")
    if options.out is not None and options.out.exists():
        raise FileExistsError(f"demo: {options.out} exists already; name another folder")


def new_folder(name: str, out: Path | None) -> Path:
    """Makes `out`, or else the first of name, name-2, ... that is free."""
    names = (Path(f"{name}-{i}" if i > 1 else name) for i in count(1))
    folder = out or next(path for path in names if not path.exists())
    folder.mkdir(parents=True)
    return folder
