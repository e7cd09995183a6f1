"""What commands share: options that are in range, and folders that are there or not."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["check_above", "check_free", "check_least", "check_seed", "check_share", "check_whole"]


def check_whole(where: str, name: str, value: int | None, low: int = 1) -> None:
    """ValueError unless the number is None or at least `low`."""
    if value is not None and value < low:
        raise ValueError(f"{where}: {name} must be at least {low}, got {value}")


def check_above(where: str, name: str, value: float | None, low: float = 0.0) -> None:
    """ValueError unless the number is None or finite and above `low`."""
    if value is not None and not low < value < math.inf:
        raise ValueError(f"{where}: {name} must be above {low:g}, got {value}")


def check_least(where: str, name: str, value: float) -> None:
    """ValueError unless the number is finite and at least 0."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{where}: {name} must be at least 0, got {value}")


def check_share(where: str, name: str, value: float | None) -> None:
    """ValueError unless the number is None or inside (0, 1)."""
    if value is not None and not 0 < value < 1:
        raise ValueError(f"{where}: {name} must be inside (0, 1), got {value}")


def check_seed(where: str, seed: int | None) -> None:
    """ValueError unless the seed is None or 0 <= seed < 2**63."""
    if seed is not None and not 0 <= seed < 2**63:
        raise ValueError(f"{where}: seed must be at least 0 and below 2**63, got {seed}")


def check_free(where: str, paths: Sequence[Path]) -> None:
    """FileExistsError for the first path that is there and is no empty folder."""
    for path in paths:
        empty = path.is_dir() and not any(path.iterdir())
        if os.path.lexists(path) and not empty:
            raise FileExistsError(f"{where}: {path} exists already; name another or remove it")
