"""Stub while tuning."""
from dataclasses import dataclass
from collections.abc import Callable
from typing import Any
AS_WRITTEN = "as users write it"
SAME_ALGEBRA = "same algebra"
@dataclass
class Contender:
    kind: str
    engine: str
    form: str
    threads: int
    draw: Callable[[Any], Any]
