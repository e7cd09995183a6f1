"""What symbols stand for: the characters of a vocabulary, or the bytes of UTF-8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

__all__ = ["Bytes", "Symbols", "Vocabulary", "symbols_from_config"]


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows; a character's place in the string is its symbol.

    Example:
        >>> Vocabulary.of("banana").encode("nab")
        tensor([2, 0, 1])
    """

    characters: str

    def __post_init__(self) -> None:
        if not isinstance(self.characters, str):
            kind = type(self.characters).__name__
            raise ValueError(f"Vocabulary: characters must be a string, got {kind}")
        if not self.characters:
            raise ValueError("Vocabulary: characters must not be empty")
        if len(set(self.characters)) != len(self.characters):
            twice = Counter(self.characters).most_common(1)[0][0]
            raise ValueError(
                f"Vocabulary: characters must differ from each other, got two {twice!r}"
            )

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """The characters of a text, in the order of their code points."""
        return cls("".join(sorted(set(text))))

    @cached_property
    def _symbols(self) -> dict[str, int]:
        return {character: symbol for symbol, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def config(self) -> dict[str, Any]:
        """This vocabulary as JSON; `symbols_from_config` makes it again."""
        return {"kind": "characters", "characters": self.characters}

    def encode(self, text: str) -> Int64[Tensor, " length"]:
        """The symbols of a text.

        Raises:
            ValueError: A character is not in the vocabulary; named with its position.
        """
        symbols = self._symbols
        try:
            return torch.tensor([symbols[c] for c in text], dtype=torch.int64)
        except KeyError as error:
            c = error.args[0]
            raise ValueError(
                f"encode: text must use the {len(self)} characters of the vocabulary, "
                f"got {c!r} (U+{ord(c):04X}) at position {text.index(c)}"
            ) from None

    def decode(self, tokens: Int64[Tensor, " length"]) -> str:
        """The text of symbols.

        Raises:
            ValueError: The tensor is not int64 (L,), or a symbol is outside the vocabulary.
        """
        check_symbols_of("decode", tokens, len(self))
        return "".join(self.characters[symbol] for symbol in tokens.tolist())


@dataclass(frozen=True)
class Bytes:
    """All 256 bytes; a text's symbols are the bytes of its UTF-8.

    Example:
        >>> Bytes().encode("né")
        tensor([110, 195, 169])
    """

    def __len__(self) -> int:
        return 256

    def config(self) -> dict[str, Any]:
        """These symbols as JSON; `symbols_from_config` makes them again."""
        return {"kind": "bytes"}

    def encode(self, text: str | bytes) -> Int64[Tensor, " length"]:
        """The bytes of a text, or bytes as they are.

        Raises:
            ValueError: The text holds half of a surrogate pair, which has no UTF-8.
        """
        try:
            raw = text.encode() if isinstance(text, str) else text
        except UnicodeEncodeError as error:
            raise ValueError(
                f"encode: text must have a UTF-8 form, got half of a surrogate pair at position "
                f"{error.start}"
            ) from None
        return torch.from_numpy(np.frombuffer(raw, dtype=np.uint8).astype(np.int64))

    def decode(self, tokens: Int64[Tensor, " length"]) -> str:
        """The text of bytes; what is no UTF-8 becomes U+FFFD.

        Raises:
            ValueError: The tensor is not int64 (L,), or a symbol is no byte.
        """
        check_symbols_of("decode", tokens, len(self))
        return bytes(tokens.tolist()).decode(errors="replace")


Symbols: TypeAlias = Vocabulary | Bytes


def symbols_from_config(config: object) -> Symbols:
    """The symbols that `config()` wrote down.

    Args:
        config: `{"kind": "characters", "characters": "..."}` or `{"kind": "bytes"}`.

    Raises:
        ValueError: It is anything else.
    """
    where = "symbols_from_config"
    if not isinstance(config, Mapping):
        raise ValueError(f"{where}: config must be a mapping, got {type(config).__name__}")
    wanted = {"characters": {"kind", "characters"}, "bytes": {"kind"}}
    kind = config.get("kind")
    if not isinstance(kind, str) or kind not in wanted:
        raise ValueError(f"{where}: kind must be 'characters' or 'bytes', got {kind!r:.80}")
    if set(config) != wanted[kind]:
        keys = ", ".join(sorted(wanted[kind]))
        raise ValueError(
            f"{where}: config of {kind} must have the keys {keys}, got {list(config)!r:.80}"
        )
    if kind == "bytes":
        return Bytes()
    vocabulary = Vocabulary(config["characters"])
    _check_writable(vocabulary.characters)
    return vocabulary


def _check_writable(characters: str) -> None:
    """JSON can hold half of a surrogate pair, which no text file and no terminal can."""
    for character in characters:
        if 0xD800 <= ord(character) < 0xE000:
            raise ValueError(
                "symbols_from_config: characters must have a UTF-8 form, got the surrogate "
                f"U+{ord(character):04X}"
            )


def check_line(where: str, tokens: Tensor) -> None:
    """ValueError unless the tensor is int64 (L,)."""
    if tokens.dtype != torch.int64 or tokens.dim() != 1:
        kind = str(tokens.dtype).removeprefix("torch.")
        raise ValueError(f"{where}: tokens must be int64 (L,), got {kind} {tuple(tokens.shape)}")


def check_symbols_of(where: str, tokens: Tensor, classes: int) -> None:
    """ValueError unless the tensor is int64 (L,) of symbols below `classes`."""
    check_line(where, tokens)
    wrong = ((tokens < 0) | (tokens >= classes)).nonzero()
    if len(wrong):
        at = int(wrong[0, 0])
        raise ValueError(
            f"{where}: tokens must be in 0..{classes - 1}, got {int(tokens[at])} at position {at}"
        )
