"""Files to text, symbols and windows: nothing lost, parts of a split apart, errors with places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genfast.data import (
    Bytes,
    Vocabulary,
    known_words,
    pydoc_topics,
    random_windows,
    read_symbols,
    read_text,
    split_tokens,
    windows,
)


def test_read_text_takes_any_line_end_and_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(path) == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is empty"),
        (b"abc\xff", "must be UTF-8 text, got byte 0xff at position 3"),
        (b"abc\0def", "got a zero byte"),
    ],
)
def test_read_text_says_what_is_wrong(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read_text(path)


def test_read_text_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        read_text(tmp_path / "missing")


def test_files_are_joined_in_their_order(tmp_path: Path) -> None:
    for name, raw in (("b.txt", b"banana\r\n"), ("a.txt", b"an")):
        (tmp_path / name).write_bytes(raw)
    paths = [tmp_path / "b.txt", tmp_path / "a.txt"]
    symbols, tokens = read_symbols(paths)
    assert symbols == Vocabulary("\nabn")
    assert symbols.decode(tokens) == "banana\nan"
    symbols, tokens = read_symbols(paths, "bytes")
    assert symbols == Bytes()
    assert bytes(tokens.tolist()) == b"banana\r\nan"


def test_bytes_may_be_anything_but_nothing(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes(range(256)))
    assert torch.equal(read_symbols([path], "bytes")[1], torch.arange(256))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="raw is empty"):
        read_symbols([path], "bytes")


@pytest.mark.parametrize(
    ("paths", "kind", "message"),
    [
        ([], "bytes", "paths must name at least one file"),
        (["README.md"], "words", "kind must be 'characters' or 'bytes', got 'words'"),
    ],
)
def test_read_symbols_refuses(paths: list[str], kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_symbols(paths, kind)


def test_pydoc_topics_are_english() -> None:
    text = pydoc_topics()
    assert len(text) > 300_000
    assert "Assert statements are a convenient way" in text


@pytest.mark.parametrize("length", [2, 17, 1290])
def test_split_cuts_once(length: int) -> None:
    tokens = torch.arange(length)
    train, held = split_tokens(tokens, 0.1)
    assert torch.equal(torch.cat([train, held]), tokens)
    assert len(held) == max(1, round(length * 0.1))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_split_refuses_shares_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match="held_out must be inside"):
        split_tokens(torch.arange(10), share)


def test_split_refuses_to_leave_nothing() -> None:
    with pytest.raises(ValueError, match="leave some to train on"):
        split_tokens(torch.arange(1))


@pytest.mark.parametrize(("length", "rows"), [(1, 1), (1, 8), (17, 2), (129, 8), (10, 6), (8, 8)])
def test_windows_hold_every_symbol_once(length: int, rows: int) -> None:
    tokens = torch.randint(1, 9, (length,), generator=torch.Generator().manual_seed(length))
    cut, lengths = windows(tokens, rows)
    assert len(cut) == len(lengths) <= rows
    kept = [row[:n] for row, n in zip(cut, lengths.tolist(), strict=True)]
    assert torch.equal(torch.cat(kept), tokens)
    assert int(lengths.min()) >= 1
    assert all(not row[n:].any() for row, n in zip(cut, lengths.tolist(), strict=True))


def test_random_windows_are_stretches_of_the_text() -> None:
    tokens = torch.arange(100)
    batch = random_windows(tokens, 17, 33, seed=5)
    first = batch(0)
    assert first.shape == (33, 17)
    assert torch.equal(first, first[:, :1] + torch.arange(17))
    assert torch.equal(first, batch(0))
    assert not torch.equal(first, batch(1))
    assert not torch.equal(first, random_windows(tokens, 17, 33, seed=6)(0))
    starts = {int(start) for step in range(50) for start in batch(step)[:, 0]}
    assert starts == set(range(84))


@pytest.mark.parametrize(("width", "batch"), [(0, 1), (11, 1), (3, 0)])
def test_random_windows_refuse_what_does_not_fit(width: int, batch: int) -> None:
    with pytest.raises(ValueError, match="random_windows"):
        random_windows(torch.arange(10), width, batch)


def test_known_words_leaves_out_what_may_be_cut() -> None:
    assert known_words("ssert The fooq statement ba", "Assert the statement") == (2, 3)
    assert known_words(" the ", "The") == (1, 1)
    assert known_words("the", "The") == (0, 0)
    assert known_words("", "The") == (0, 0)
