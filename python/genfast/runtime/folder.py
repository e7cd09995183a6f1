"""The folder of an exported graph: what its config.json says, checked, and the model's bytes."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from genfast.runtime.symbols import check_symbols

__all__ = ["ONE_PASS", "Exported", "State", "read_bytes", "read_exported"]

#: The format of "sampler" that this file reads.
FORMAT = 1
#: Graphs of models whose samples take one pass.
ONE_PASS = ("one_pass", "decoder", "encoder")
# A config.json holds at most every character there is; protobuf itself stops at 2 GiB.
_CONFIG_BYTES, _MODEL_BYTES = 2**25, 2**31


class State(NamedTuple):
    """A value that a step graph is given and gives back, 0 at first.

    Args:
        name: Of the input.
        width: float32 (N, width), or (N, columns, width) of an image.
        columns: Of an image's row; None for a sequence.
        symbols: Of an image's symbols, int64 (N, columns): their number, which stands for 0 above.
    """

    name: str
    width: int
    columns: int | None = None
    symbols: int | None = None


@dataclass(frozen=True)
class Exported:
    """One exported graph.

    Args:
        path: Its folder.
        graph: "sampler", "uniforms" or "step"; of one pass "one_pass", "decoder" or "encoder".
        classes: Symbols of the vocabulary, or levels of a pixel; 0 for real numbers, which only one
            pass gives.
        shape: (C, H, W) of an image; None for a sequence; of one pass that of a sample.
        parts: Of an image: draws of a pixel, C, a channel each; or 1, which gives all channels.
        draws: Uniforms that one of them owns.
        conditions: Of an image: labels of "classes", widths of "vector" and "features".
        symbols: What they stand for, or None.
        inputs, outputs: Names of the graph's.
        top_k, top_p: "input", or what the export fixed, None for off.
        stop: The symbol that ends a row, or None.
        states: Each recurrent state; of a step graph only.
        sha256: Of the model's file.
        step: Name of the folder beside this one that has the step graph, or None.
        latent: Width of a latent, of one pass; else None.
    """

    path: Path
    graph: str
    classes: int
    shape: tuple[int, ...] | None
    parts: int
    draws: int
    conditions: dict[str, int]
    symbols: dict[str, Any] | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    top_k: int | str | None
    top_p: float | str | None
    stop: int | None
    states: tuple[State, ...]
    sha256: str
    step: str | None
    latent: int | None

    @property
    def model_path(self) -> Path:
        """Where the graph lies."""
        return self.path / "1" / "model.onnx"

    def model(self) -> bytes:
        """The graph, just as it was exported.

        Raises:
            OSError: There is no such file, or it cannot be read.
            ValueError: It is not what was exported.
        """
        data = read_bytes(self.path, "1/model.onnx", _MODEL_BYTES)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(
                f"Sampler: {self.model_path} was changed after export: its sha256 is not the one "
                "in config.json"
            )
        return data


def read_exported(path: str | Path) -> Exported:
    """Reads `path`/config.json.

    Raises:
        OSError: The folder or the file is not there, or cannot be read.
        ValueError: It is no config.json of an exported graph; what is wrong, in one line.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"Sampler: path must be the folder of an export, got {path}")
    where = f"Sampler: {path / 'config.json'}"
    text = read_bytes(path, "config.json", _CONFIG_BYTES)
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    section = config.get("sampler") if isinstance(config, dict) else None
    if not isinstance(section, dict):
        raise ValueError(
            f"{where} is of no exported sampler; genfast.export(model, path) makes one"
        )
    if section.get("format") != FORMAT:
        raise ValueError(
            f"{where} must have format {FORMAT}, got {section.get('format')!r}; "
            "another version of genfast wrote it"
        )
    return _checked(path, where, section)


def read_bytes(folder: Path, name: str, most: int) -> bytes:
    """A regular file inside `folder` of at most `most` bytes.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is no regular file, is too large, or a link leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"Sampler: {path} is a link that leaves the folder")
    try:
        found = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"Sampler: {path} is missing") from None
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        raise ValueError(f"Sampler: {path} must be a regular file of at most {most} bytes")
    with path.open("rb") as file:
        return file.read(most)


def _checked(path: Path, where: str, section: dict[str, Any]) -> Exported:
    """The fields of "sampler", each by the table below."""
    fields: dict[str, Any] = {}
    table = _ONE_PASS_FIELDS if section.get("graph") in ONE_PASS else _FIELDS
    for name, (right, wanted) in table.items():
        value = section.get(name)
        if not right(value):
            raise ValueError(f"{where}: {name} must be {wanted}, got {_shortened(value)}")
        fields[name] = value
    fields["classes"] = fields["classes"] or 0
    classes, stop = fields["classes"], fields["stop"]
    if stop is not None and stop >= classes:
        raise ValueError(f"{where}: stop must be below {classes} or null, got {stop}")
    try:
        check_symbols(fields["symbols"], classes)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    for name in ("inputs", "outputs"):
        fields[name] = tuple(fields[name])
    fields["shape"] = None if fields["shape"] is None else tuple(fields["shape"])
    channels = fields["shape"][0] if fields["shape"] else 1
    # Both are missing where every channel is a draw of its own with one uniform.
    fields["parts"], fields["draws"] = fields["parts"] or channels, fields["draws"] or 1
    if fields["shape"] and fields["parts"] not in (1, channels):
        raise ValueError(f"{where}: parts must be 1 or {channels}, got {fields['parts']}")
    fields["conditions"] = fields["conditions"] or {}
    fields["states"] = tuple(
        State(*(state.get(name) for name in State._fields)) for state in fields["states"] or ()
    )
    return Exported(path=path, **fields)


def _shortened(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else f"{said[:60]}..."


def _integer(value: Any, least: int) -> bool:
    return type(value) is int and least <= value < 2**31


def _count(value: Any) -> bool:
    return value is None or _integer(value, 1)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value) and bool(value)


def _states(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(isinstance(s, dict) and isinstance(s.get("name"), str) for s in value)
        and all(_integer(s.get("width"), 1) for s in value)
        and all(
            s.get(name) is None or _integer(s[name], 1)
            for s in value
            for name in ("columns", "symbols")
        )
    )


def _sides(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_integer(side, 1) for side in value)


def _shape(value: Any) -> bool:
    return value is None or (_sides(value) and len(value) == 3)


def _nothing(value: Any) -> bool:
    return value is None


def _conditions(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and not value.keys() - {"classes", "vector", "features"}
        and all(_integer(size, 1) for size in value.values())
    )


def _share(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1


def _hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


def _neighbour(value: Any) -> bool:
    """A plain name, of a folder beside this one."""
    return isinstance(value, str) and value == Path(value).name and value not in ("", ".", "..")


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "graph": (lambda v: v in ("sampler", "uniforms", "step"), "sampler, uniforms or step"),
    "classes": (lambda v: _integer(v, 1), "an integer of at least 1"),
    "shape": (_shape, "three sides of at least 1, or null"),
    "parts": (_count, "an integer of at least 1, or null"),
    "draws": (_count, "an integer of at least 1, or null"),
    "conditions": (_conditions, "sizes of classes, vector and features"),
    "symbols": (lambda v: v is None or isinstance(v, dict), "an object or null"),
    "inputs": (_names, "a list of names"),
    "outputs": (_names, "a list of names"),
    "top_k": (lambda v: v in (None, "input") or _integer(v, 0), 'an integer, "input" or null'),
    "top_p": (lambda v: v in (None, "input") or _share(v), 'a number in (0, 1], "input" or null'),
    "stop": (lambda v: v is None or _integer(v, 0), "a symbol or null"),
    "states": (_states, "a list of names and widths"),
    "sha256": (_hash, "64 hexadecimal digits"),
    "step": (lambda v: v is None or _neighbour(v), "the name of a folder beside this, or null"),
    "latent": (_nothing, "null"),
}
_ONE_PASS_FIELDS = _FIELDS | {
    "graph": (lambda v: v in ONE_PASS, "one_pass, decoder or encoder"),
    "classes": (_count, "an integer of at least 1, or null"),
    "shape": (_sides, "sides of at least 1"),
    "latent": (lambda v: _integer(v, 1), "an integer of at least 1"),
    **dict.fromkeys(("symbols", "stop", "states", "step"), (_nothing, "null")),
}
