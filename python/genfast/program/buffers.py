"""Buffers and references: what a program's instructions write, and where they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["f32", "sym"]


@dataclass(frozen=True)
class Buffer:
    """A named vector that one instruction writes once a site.

    A reader may look back at earlier sites. What it sees before the first site, or outside the
    image, is the buffer's *border*: 0 for `f32`; for a symbol the number `vocabulary`, one past
    the last symbol, which tables answer with their last row.

    Args:
        name: unique in its program.
        width: values a site; 1 for a symbol.
        kind: `"f32"` (float32 vector) or `"sym"` (one integer in [0, vocabulary]).
        vocabulary: number of symbols; 0 for `f32`.
    """

    name: str
    width: int
    kind: Kind = "f32"
    vocabulary: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("f32", "sym"):
            raise ValueError(
                f"Buffer: kind of {self.name!r} must be 'f32' or 'sym', got {self.kind!r}"
            )
        if self.width < 1:
            raise ValueError(f"Buffer: width of {self.name!r} must be at least 1, got {self.width}")
        if (self.kind == "sym") != (self.vocabulary > 0):
            raise ValueError(
                f"Buffer: vocabulary of {self.name!r} must be positive for a symbol and 0 for "
                f"f32, got {self.vocabulary} for {self.kind}"
            )
        if self.kind == "sym" and self.width != 1:
            raise ValueError(
                f"Buffer: width of the symbol {self.name!r} must be 1, got {self.width}"
            )

    def __getitem__(self, offset: tuple[int, int]) -> Ref:
        """The value `offset = (dy, dx)` away: `h[0, -1]` is the column before this one."""
        dy, dx = offset
        return Ref(self, dy, dx)

    @property
    def here(self) -> Ref:
        """The value at this very site."""
        return Ref(self, 0, 0)


def symbol(name: str, vocabulary: int) -> Buffer:
    """A symbol buffer: one integer a site, in [0, vocabulary)."""
    return Buffer(name, 1, "sym", vocabulary)


@dataclass(frozen=True)
class Ref:
    """The value of `buffer` dy rows and dx columns away; (0, 0) is this site."""

    buffer: Buffer
    dy: int = 0
    dx: int = 0

    def __str__(self) -> str:
        if self.dy == 0 and self.dx == 0:
            return self.buffer.name
        return f"{self.buffer.name}[{self.dy:+d},{self.dx:+d}]"
