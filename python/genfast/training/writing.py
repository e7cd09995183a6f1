"""Files of a run: whole or not there, and errors that name them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from genfast.files.atomic import replacing


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an OSError the name of the file that could not be written.

    torch hides it behind a RuntimeError; then it is found in the chain of causes.

    Raises:
        OSError: Something inside raised one.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise OSError(cause.errno, cause.strerror or str(cause), str(path)) from error


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """`genfast.files.atomic.replacing`, with errors that name `path`."""
    with naming(path), replacing(path) as file:
        yield file
