"""Reading no more than was announced: a small file must not unpack to gigabytes."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Readable", "check_ratio", "read_exactly"]

# Blank pictures pack a thousandfold, photographs and scans not twentyfold.
_MOST_RATIO = 100
_SMALL = 64 * 2**20
_CHUNK = 2**20


class Readable(Protocol):
    """A file, a member of an archive, or what gzip unpacks."""

    def read(self, count: int, /) -> bytes:
        """At most `count` bytes."""


def check_ratio(where: str, name: object, packed: int, unpacked: int) -> None:
    """ValueError for a large file that was packed smaller than images are.

    Args:
        where: The function that reads, for the error.
        name: What it reads.
        packed: Bytes present.
        unpacked: Bytes that they are said to hold.
    """
    if unpacked > max(_SMALL, _MOST_RATIO * packed):
        raise ValueError(
            f"{where}: {name} must unpack to at most {_MOST_RATIO} times its {packed:,} bytes, "
            f"got {unpacked:,}; is it a decompression bomb?"
        )


def read_exactly(where: str, name: object, file: Readable, count: int) -> bytearray:
    """`count` bytes and then the end of the file; memory grows with what is there.

    Raises:
        ValueError: There are fewer bytes, or more.
    """
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(_CHUNK, count - len(data)))
        if not piece:
            raise ValueError(
                f"{where}: {name} is cut short: {count:,} bytes must follow its header, "
                f"got {len(data):,}"
            )
        data += piece
    if file.read(1):
        raise ValueError(
            f"{where}: {name} must end {count:,} bytes behind its header, got more bytes"
        )
    return data
