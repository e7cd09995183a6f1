"""Text: files to strings, strings to symbols, symbols to windows that a model trains on.

::

    text      "Assert statements are"        read_text, pydoc_topics
    symbols   31 81 81 67 80 82 ...           Vocabulary.encode, Bytes.encode; read_symbols
              |<---- training ---->|<- held out ->|      split_tokens: two stretches, not shuffled
    batch     (B, T), each row begun anywhere            random_windows
    whole     (N, T) and the lengths of the rows         windows
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.data.symbols import Bytes, Symbols, Vocabulary, check_line
from genfast.random import fold

_WORD = re.compile(r"[^\W\d_]+")


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


def read_symbols(
    paths: Sequence[str | Path], kind: Literal["characters", "bytes"] = "characters"
) -> tuple[Symbols, Int64[Tensor, " length"]]:
    """Files one behind the other, as symbols.

    Args:
        paths: At least one file, in the order in which they are joined; nothing is put between.
        kind: "characters": the files are UTF-8 text (`read_text`), and the symbols are the
            characters that occur. "bytes": the files are read as they are, and may hold anything.

    Returns:
        What the symbols stand for, and int64 (L,).

    Raises:
        OSError: A file cannot be read.
        ValueError: There is no file, one is empty or not what `kind` says, or `kind` is neither.
    """
    if not paths:
        raise ValueError("read_symbols: paths must name at least one file, got none")
    if kind == "bytes":
        return Bytes(), Bytes().encode(b"".join(map(_read_bytes, paths)))
    if kind != "characters":
        raise ValueError(f"read_symbols: kind must be 'characters' or 'bytes', got {kind!r}")
    text = "".join(map(read_text, paths))
    vocabulary = Vocabulary.of(text)
    return vocabulary, vocabulary.encode(text)


def _read_bytes(path: str | Path) -> bytes:
    raw = Path(path).read_bytes()
    if not raw:
        raise ValueError(f"read_symbols: {path} is empty")
    return raw


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
    check_line("split_tokens", tokens)
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
    check_line("windows", tokens)
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
    check_line("random_windows", tokens)
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
