"""Text as tensors, and the n-gram models that a neural one should beat."""

from __future__ import annotations

from genfast.data.ngram import NGram
from genfast.data.symbols import Bytes, Symbols, Vocabulary, symbols_from_config
from genfast.data.text import (
    known_words,
    pydoc_topics,
    random_windows,
    read_symbols,
    read_text,
    split_tokens,
    windows,
)

__all__ = [
    "Bytes",
    "NGram",
    "Symbols",
    "Vocabulary",
    "known_words",
    "pydoc_topics",
    "random_windows",
    "read_symbols",
    "read_text",
    "split_tokens",
    "symbols_from_config",
    "windows",
]
