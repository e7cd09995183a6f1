"""Text: files to strings, strings to symbols, symbols to windows that a model trains on.

::

    text      "Assert statements are"        read_text, pydoc_topics
    symbols   31 81 81 67 80 82 ...           Vocabulary.encode
              |<---- training ---->|<- held out ->|      split_tokens: two stretches, not shuffled
    batch     (B, T), each row begun anywhere            random_windows
    whole     (N, T) and the lengths of the rows         windows
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.random import fold

_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows; a character's place in the string is its symbol.

    Example:
        >>> Vocabulary.of("banana").encode("nab")
        tensor([2, 0, 1])
    """

    characters: str

    def __post_init__(self) -> None:
        if not self.characters:
            raise ValueError("Vocabulary: characters must not be empty")
        if len(set(self.characters)) != len(self.characters):
            raise ValueError("Vocabulary: characters must differ from each other")

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """The characters of a text, in the order of their code points."""
        return cls("".join(sorted(set(text))))

    @cached_property
    def _symbols(self) -> dict[str, int]:
        return {character: symbol for symbol, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

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
        _check_tokens("decode", tokens)
        wrong = ((tokens < 0) | (tokens >= len(self))).nonzero()
        if len(wrong):
            at = int(wrong[0, 0])
            raise ValueError(
                f"decode: tokens must be in 0..{len(self) - 1}, "
                f"got {int(tokens[at])} at position {at}"
            )
        return "".join(self.characters[symbol] for symbol in tokens.tolist())


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, with line ends as "\\n".

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: The file is empty, or not UTF-8 text; the first wrong byte is named.
    """
    raw = Path(path).read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read_text: {path} must be UTF-8 text, got byte 0x{raw[error.start]:02x} "
            f"at position {error.start}"
        ) from None
    if "\0" in text:
        raise ValueError(f"read_text: {path} must be text, got a zero byte: is it a binary file?")
    if not text:
        raise ValueError(f"read_text: {path} is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def pydoc_topics() -> str:
    """The standard library's `pydoc_data.topics`, English with tables and code, about 0.5 MB."""
    from pydoc_data.topics import topics  # type: ignore[import-not-found, unused-ignore]

    return "\n".join(topics[name] for name in sorted(topics))


def split_tokens(
    tokens: Int64[Tensor, " length"], held_out: float = 0.1
) -> tuple[Int64[Tensor, " train"], Int64[Tensor, " held"]]:
    """Cuts off the last part, so that no window of one part overlaps the other.

    Args:
        tokens: int64 (L,).
        held_out: The share that is held out, 0 < held_out < 1; rounded to at least one symbol.

    Raises:
        ValueError: The share is out of range, or a part would be empty.
    """
    _check_tokens("split_tokens", tokens)
    if not 0 < held_out < 1:
        raise ValueError(f"split_tokens: held_out must be inside (0, 1), got {held_out}")
    count = max(1, round(len(tokens) * held_out))
    if count >= len(tokens):
        raise ValueError(f"split_tokens: tokens must leave some to train on, got {len(tokens)}")
    return tokens[:-count], tokens[-count:]


def windows(
    tokens: Int64[Tensor, " length"], rows: int
) -> tuple[Int64[Tensor, "rows width"], Int64[Tensor, " rows"]]:
    """The whole text as a batch of consecutive windows, the last ones padded with 0.

    Args:
        tokens: int64 (L,), L >= 1.
        rows: The most windows to cut; each is ceil(L / rows) wide and fewer may do.

    Returns:
        int64 (N, T), and int64 (N,): how many symbols of each row are the text's.
    """
    _check_tokens("windows", tokens)
    if rows < 1 or len(tokens) < 1:
        raise ValueError(
            f"windows: rows and the length of tokens must be at least 1, got {rows}, {len(tokens)}"
        )
    width = -(-len(tokens) // rows)
    count = -(-len(tokens) // width)
    padded = tokens.new_zeros(count * width)
    padded[: len(tokens)] = tokens
    lengths = torch.full((count,), width)
    lengths[-1] = len(tokens) - (count - 1) * width
    return padded.view(count, width), lengths


def random_windows(
    tokens: Int64[Tensor, " length"], width: int, batch_size: int, *, seed: int = 0
) -> Callable[[int], Int64[Tensor, "batch width"]]:
    """Training batches as a function of the step: windows begun anywhere in the text.

    Args:
        tokens: int64 (L,).
        width: Symbols of a window, 1 <= width <= L.
        batch_size: Windows of a batch.
        seed: Batch `step` is the same whenever it is asked for, so training can be resumed.

    Returns:
        `batch(step)`, int64 (batch_size, width), for `genfast.fit`.
    """
    _check_tokens("random_windows", tokens)
    if not 1 <= width <= len(tokens):
        raise ValueError(
            f"random_windows: width must be 1 to the {len(tokens)} symbols of the text, got {width}"
        )
    if batch_size < 1:
        raise ValueError(f"random_windows: batch_size must be at least 1, got {batch_size}")
    cut = tokens.unfold(0, width, 1)

    def batch(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(fold(seed, "shuffle", step))
        return cut[torch.randint(len(cut), (batch_size,), generator=generator)]

    return batch


def known_words(sample: str, text: str) -> tuple[int, int]:
    """How many words of a sample occur in a text, and how many words the sample has.

    A word is a run of letters, upper and lower case being the same. The first and the last word
    of the sample count when they are whole: they are left out where the sample may have cut them.
    """
    known = {word.lower() for word in _WORD.findall(text)}
    found = [
        match.group().lower()
        for match in _WORD.finditer(sample)
        if match.start() > 0 and match.end() < len(sample)
    ]
    return sum(word in known for word in found), len(found)


def _check_tokens(where: str, tokens: Tensor) -> None:
    if tokens.dtype != torch.int64 or tokens.dim() != 1:
        kind = str(tokens.dtype).removeprefix("torch.")
        raise ValueError(f"{where}: tokens must be int64 (L,), got {kind} {tuple(tokens.shape)}")
