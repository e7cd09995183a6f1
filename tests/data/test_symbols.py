"""Symbols to text and back, their configuration, and every configuration that is refused."""

from __future__ import annotations

import json
import random

import pytest
import torch

from genfast.data import Bytes, Symbols, Vocabulary, symbols_from_config


@pytest.mark.parametrize("length", [1, 2, 17, 129])
def test_encode_decode_is_the_text(length: int) -> None:
    chooser = random.Random(length)
    text = "".join(chooser.choice("aZ \n\tßé—☃😀") for _ in range(length))
    vocabulary = Vocabulary.of(text)
    tokens = vocabulary.encode(text)
    assert tokens.dtype == torch.int64
    assert tokens.shape == (length,)
    assert int(tokens.max()) < len(vocabulary) == len(set(text))
    assert vocabulary.decode(tokens) == text


def test_empty_text_has_no_symbols() -> None:
    assert Vocabulary("ab").encode("").shape == (0,)
    assert Vocabulary("ab").decode(torch.zeros(0, dtype=torch.int64)) == ""


def test_encode_names_the_character_and_its_position() -> None:
    with pytest.raises(ValueError, match=r"2 characters .* got 'é' \(U\+00E9\) at position 3"):
        Vocabulary("ab").encode("abaéb")


@pytest.mark.parametrize("wrong", [-1, 2])
def test_decode_names_the_symbol_and_its_position(wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"in 0..1, got {wrong} at position 2"):
        Vocabulary("ab").decode(torch.tensor([0, 1, wrong]))


def test_decode_refuses_other_dtypes_and_shapes() -> None:
    with pytest.raises(ValueError, match=r"int64 \(L,\), got float32 \(2, 3\)"):
        Vocabulary("ab").decode(torch.zeros(2, 3))


@pytest.mark.parametrize("characters", ["", "aba"])
def test_vocabulary_refuses_nothing_and_repeats(characters: str) -> None:
    with pytest.raises(ValueError, match="Vocabulary: characters must"):
        Vocabulary(characters)


@pytest.mark.parametrize("text", ["", "plain", "ßé—☃😀"])
def test_bytes_are_utf8(text: str) -> None:
    tokens = Bytes().encode(text)
    assert bytes(tokens.tolist()) == text.encode()
    assert torch.equal(tokens, Bytes().encode(text.encode()))
    assert Bytes().decode(tokens) == text
    assert len(Bytes()) == 256


def test_bytes_show_what_is_no_text() -> None:
    assert Bytes().decode(torch.tensor([97, 0xE2, 0x98])) == "a\ufffd"


def test_bytes_refuse_what_has_no_bytes() -> None:
    with pytest.raises(ValueError, match="half of a surrogate pair at position 1"):
        Bytes().encode("a\ud800")
    with pytest.raises(ValueError, match=r"in 0..255, got 256 at position 1"):
        Bytes().decode(torch.tensor([0, 256]))


@pytest.mark.parametrize("symbols", [Bytes(), Vocabulary("ab"), Vocabulary("\n\0ß😀\u2028")])
def test_config_comes_back_through_json(symbols: Symbols) -> None:
    assert symbols_from_config(json.loads(json.dumps(symbols.config()))) == symbols


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "must be a mapping, got NoneType"),
        ([], "must be a mapping, got list"),
        ("bytes", "must be a mapping, got str"),
        ({}, "kind must be 'characters' or 'bytes', got None"),
        ({"kind": "words"}, "kind must be 'characters' or 'bytes', got 'words'"),
        ({"kind": ["bytes"]}, "kind must be"),
        ({"kind": "bytes", "characters": "ab"}, "must have the keys kind, got"),
        ({"kind": "characters"}, "must have the keys characters, kind, got"),
        ({"kind": "characters", "characters": "ab", "more": 1}, "must have the keys"),
        ({"kind": "characters", "characters": ""}, "must not be empty"),
        ({"kind": "characters", "characters": "aba"}, "must differ from each other, got two 'a'"),
        ({"kind": "characters", "characters": ["a", "b"]}, "must be a string, got list"),
        ({"kind": "characters", "characters": None}, "must be a string, got NoneType"),
        ({"kind": "characters", "characters": "a\ud800"}, "got the surrogate U\\+D800"),
    ],
)
def test_other_configs_are_refused(config: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        symbols_from_config(config)
