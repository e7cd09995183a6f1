"""The compiled core, imported here and nowhere else."""

from __future__ import annotations

try:
    from genfast import _core as core
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "genfast: the compiled core is missing; install the package (`pip install .`) instead of "
        "importing it from its source folder"
    ) from error

__all__ = ["core"]
