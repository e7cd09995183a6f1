"""`genfast demo`: what the library does, shown in two minutes on data that every Python has."""

from __future__ import annotations

from genfast.demo.character import run
from genfast.demo.options import Demo, Report

__all__ = ["Demo", "Report", "run"]
