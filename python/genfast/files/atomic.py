"""Files that are whole or not there: written beside, synced, renamed."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing", "sync_folder", "write_bytes"]

#: A killed writer leaves its partial file; the next one sweeps it when it has lain so long.
STALE_SECONDS = 3600.0


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write; `path` becomes it when the block ends, unless the block fails.

    A kill at any moment leaves the old file or the new one. The data is on the disk before the
    name changes, and the folder is synced after it. Nested blocks write several files before the
    first name changes; names then change from the innermost out.

    Args:
        path: What to write or replace; its folder must be there.

    Raises:
        OSError: The folder is missing, read-only or full, naming `path`; nothing is left behind.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        _sweep(path)
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError) and error.errno is not None and _is_about(error, partial):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    sync_folder(path.parent)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replaces a file by `data`; see `replacing`."""
    with replacing(path) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Makes renames and removals in a folder last; nothing where folders cannot be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_about(error: OSError, partial: Path) -> bool:
    """Whether an error names the partial file, or none, as that of a failed write does."""
    return error.filename is None or str(error.filename) == str(partial)


def _sweep(path: Path) -> None:
    """Removes what killed writers of this file left; a living writer's partial is younger."""
    oldest = time.time() - STALE_SECONDS
    for partial in path.parent.glob(f".{_literal(path.name)}.*.partial"):
        with suppress(OSError):
            if partial.lstat().st_mtime < oldest:
                partial.unlink()


def _literal(name: str) -> str:
    """A name that a glob takes letter by letter."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
