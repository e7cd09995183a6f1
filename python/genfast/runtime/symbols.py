"""What the symbols of a sampler stand for: characters or bytes, as its config.json says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_symbols", "decode", "encode"]


def check_symbols(symbols: Any, classes: int) -> None:
    """ValueError unless `symbols` is None, or names `classes` characters or the 256 bytes."""
    if symbols is None:
        return
    kind = symbols.get("kind") if isinstance(symbols, dict) else None
    characters = symbols.get("characters") if kind == "characters" else None
    if isinstance(characters, str) and len(set(characters)) == len(characters) == classes:
        return
    if kind == "bytes" and classes == 256:
        return
    raise ValueError(f"symbols must name {classes} characters, or 256 bytes, or be null")


def decode(symbols: dict[str, Any] | None, values: Any) -> str:
    """The text of one row; bytes that are no UTF-8 become U+FFFD.

    Raises:
        ValueError: The model knows of no text, or `values` is not one row of its symbols.
    """
    row, known = np.asarray(values), _known(symbols)
    classes = len(known) or 256
    if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
        raise ValueError(
            f"decode: values must be one row of integers (T,), got {row.dtype} {row.shape}"
        )
    if row.size and not 0 <= int(row.min()) <= int(row.max()) < classes:
        raise ValueError(f"decode: values must be at least 0 and below {classes}")
    if not known:
        return bytes(row.tolist()).decode(errors="replace")
    return "".join(known[symbol] for symbol in row.tolist())


def encode(symbols: dict[str, Any] | None, text: str) -> NDArray[np.int64]:
    """The symbols of a text, int64 (T,).

    Raises:
        ValueError: The model knows of no text, or a character is not among its own.
    """
    known = _known(symbols)
    if not known:
        return np.frombuffer(text.encode(), np.uint8).astype(np.int64)
    places = {character: place for place, character in enumerate(known)}
    unknown = sorted(set(text) - set(places))
    if unknown:
        raise ValueError(f"encode: text has {unknown[0]!r}, which the model does not know")
    return np.array([places[character] for character in text], np.int64)


def _known(symbols: dict[str, Any] | None) -> str:
    """The characters by symbol; empty for bytes."""
    if symbols is None:
        raise ValueError("decode: this sampler's symbols stand for no text: config.json names none")
    return str(symbols["characters"]) if symbols["kind"] == "characters" else ""
