"""Text as tensors, and the n-gram models that a neural one should beat."""

from __future__ import annotations

from genfast.data.ngram import NGram
from genfast.data.text import (
    Vocabulary,
    known_words,
    pydoc_topics,
    random_windows,
    read_text,
    split_tokens,
    windows,
)

__all__ = [
    "NGram",
    "Vocabulary",
    "known_words",
    "pydoc_topics",
    "random_windows",
    "read_text",
    "split_tokens",
    "windows",
]
