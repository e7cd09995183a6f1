"""Text in and out of a model's symbols, at the terminal and in a file."""

from __future__ import annotations

import codecs
import sys
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.data import Bytes, Symbols, Vocabulary

__all__ = ["Writer", "encode", "raw", "stop_symbol"]

# A model may have learnt, or been given, what moves a terminal's cursor or renames its window.
_CONTROLS = {c: "\ufffd" for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\n\t"}


def encode(model: Any, option: str, text: str) -> Int64[Tensor, " length"]:
    """The symbols of what was typed: text, or numbers where the model's symbols stand for nothing.

    Raises:
        ValueError: A character or number is none of the model's; `option` is named.
    """
    symbols = getattr(model, "symbols", None)
    try:
        if symbols is not None:
            tokens: Tensor = symbols.encode(text)
            return tokens
        return _numbers(text, model.head.classes)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def stop_symbol(model: Any, option: str, text: str | None) -> int | None:
    """The one symbol of a text; None for None.

    Raises:
        ValueError: The text is not one symbol of the model's.
    """
    if text is None:
        return None
    tokens = encode(model, option, text)
    if len(tokens) != 1:
        raise ValueError(f"{option}: must be one symbol, got {len(tokens)} in {text!r:.80}")
    return int(tokens[0])


def raw(symbols: Symbols | None, tokens: Int64[Tensor, " length"]) -> bytes:
    """What symbols are in a file: UTF-8, the very bytes, or numbers."""
    if isinstance(symbols, Bytes):
        return bytes(tokens.tolist())
    if isinstance(symbols, Vocabulary):
        return symbols.decode(tokens).encode()
    return " ".join(map(str, tokens.tolist())).encode()


class Writer:
    """Writes symbols to standard output as they come, each of them at once.

    Of bytes that make one character together, the last one shows it. On a terminal, control
    characters other than line feed and tab are shown as U+FFFD.

    Args:
        model: Whose symbols they are.
    """

    def __init__(self, model: Any) -> None:
        self._symbols = getattr(model, "symbols", None)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._controls = _CONTROLS if sys.stdout.isatty() else {}
        self._between = ""

    def write(self, tokens: Int64[Tensor, " length"]) -> None:
        """Shows these symbols behind those before."""
        self._show(self._text(tokens))

    def end(self) -> None:
        """Shows what is left of a character that was cut off, and ends the line."""
        self._show(self._decoder.decode(b"", final=True) + "\n")
        self._between = ""

    def _text(self, tokens: Tensor) -> str:
        if isinstance(self._symbols, Bytes):
            return self._decoder.decode(bytes(tokens.tolist()))
        if isinstance(self._symbols, Vocabulary):
            return self._symbols.decode(tokens)
        text = "".join(
            f"{self._between if i == 0 else ' '}{s}" for i, s in enumerate(tokens.tolist())
        )
        self._between = " " if text or self._between else ""
        return text

    def _show(self, text: str) -> None:
        sys.stdout.write(text.translate(self._controls))
        sys.stdout.flush()


def _numbers(text: str, classes: int) -> Tensor:
    words = text.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise ValueError(f"the model has no text, so this must be numbers, got {text!r:.80}")
    tokens = torch.tensor([int(word) for word in words], dtype=torch.int64)
    if len(tokens) and int(tokens.max()) >= classes:
        raise ValueError(f"symbols must be below {classes}, got {int(tokens.max())}")
    return tokens
