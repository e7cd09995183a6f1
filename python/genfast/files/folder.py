"""A folder that files are read from: regular files inside it, whatever its links say."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["Folder"]


class Folder:
    """A folder whose files may be links, but never to anything outside.

    Args:
        path: The folder; it may itself be a link.
        root: What links must stay inside: the folder itself, when None.
        caller: The public function, for errors.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: It is something else.
        ValueError: The path is no path.
    """

    def __init__(self, path: str | Path, *, root: Path | None = None, caller: str = "load") -> None:
        self.path = _as_path(path, caller)
        self._caller = caller
        try:
            self._resolved = self.path.resolve(strict=True)
            self._root = self._resolved if root is None else root.resolve(strict=True)
        except FileNotFoundError:
            raise FileNotFoundError(f"{caller}: there is no folder {self.path}") from None
        except RuntimeError:  # what pathlib makes of a circle of links
            raise OSError(f"{caller}: {self.path} is a link to itself") from None
        if not self._resolved.is_dir():
            raise NotADirectoryError(
                f"{caller}: path must be the folder of a saved model, {self.path} is a file"
            )

    def open(self, name: str) -> BinaryIO:
        """A file of the folder, open for reading.

        Raises:
            FileNotFoundError: There is none of this name.
            ValueError: It is a link that leads outside, or no regular file.
            OSError: It cannot be read.
        """
        shown = self.path / name
        try:
            target = (self._resolved / name).resolve(strict=True)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self._caller}: there is no {name} in {self.path}, or it links to nothing"
            ) from None
        except RuntimeError:
            raise OSError(f"{self._caller}: {shown} is a link to itself") from None
        if not target.is_relative_to(self._root):
            raise ValueError(f"{self._caller}: {shown} is a link that leaves the folder")
        return _open_regular(target, f"{self._caller}: {shown} must be a regular file")

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a small file.

        Raises:
            ValueError: As `open`; or it has more than `most` bytes.
            OSError: As `open`.
        """
        with self.open(name) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise ValueError(
                    f"{self._caller}: {self.path / name} must have at most {most} bytes, got {size}"
                )
            return file.read(size)  # not `most`: Python would take so much memory


def _as_path(path: str | Path, caller: str) -> Path:
    if not isinstance(path, str | os.PathLike) or "\0" in os.fsdecode(path):
        raise ValueError(f"{caller}: path must be the path of a folder, got {path!r:.80}")
    return Path(path)


def _open_regular(path: Path, wanted: str) -> BinaryIO:
    """The file; looked at before it is opened, since opening a device may do things, and after,
    since it may have changed; opened without waiting, since a pipe would wait for its writer."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(wanted)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(wanted)
    return file
