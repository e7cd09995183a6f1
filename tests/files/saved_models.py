"""Small models and saved folders that the tests of this directory share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genfast.data import Bytes, Vocabulary
from genfast.files.header import header_bytes
from genfast.heads import Categorical
from genfast.models import SequenceModel

CLASSES = 7
SYMBOLS = Vocabulary("abcdé\n|")


def model_of(width: int = 5, classes: int = CLASSES, **options: Any) -> SequenceModel:
    """A model whose weights depend on its width alone."""
    torch.manual_seed(width)
    return SequenceModel(Categorical(classes), width=width, **options).eval()


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether two models have the same weights, to the bit, in the same dtypes."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]) for name in a
    )


def split_weights(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON of a safetensors file, and its data."""
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined_weights(header: str | dict[str, Any], data: bytes) -> bytes:
    """A safetensors file of any header."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(text).to_bytes(8, "little") + text + data


def edit_header(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the header of a saved model in place; its data stays."""
    path = folder / "model.safetensors"
    header, data = split_weights(path.read_bytes())
    edit(header)
    path.write_bytes(joined_weights(header, data))


def edit_arguments(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the arguments of a saved model in its metadata and in config.json alike."""

    def in_metadata(header: dict[str, Any]) -> None:
        arguments = json.loads(header["__metadata__"]["arguments"])
        edit(arguments)
        header["__metadata__"]["arguments"] = json.dumps(arguments)

    edit_header(folder, in_metadata)
    config = json.loads((folder / "config.json").read_text())
    edit(config["arguments"])
    (folder / "config.json").write_text(json.dumps(config))


__all__ = [
    "CLASSES",
    "SYMBOLS",
    "Bytes",
    "edit_arguments",
    "edit_header",
    "header_bytes",
    "joined_weights",
    "model_of",
    "same",
    "split_weights",
]
