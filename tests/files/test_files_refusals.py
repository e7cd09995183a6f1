"""Malformed, hostile and half-written folders: each gets one clear line, at once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from saved_models import (
    edit_arguments,
    edit_header,
    joined_weights,
    model_of,
    same,
    split_weights,
)

from genfast.models import load

DEEP = "[" * 100_000


def test_every_cut_of_the_header_and_random_cuts_of_the_data(saved: Path) -> None:
    path = saved / "model.safetensors"
    raw = path.read_bytes()
    header = len(raw) - len(split_weights(raw)[1])
    cuts = [*range(header), *random.Random(0).sample(range(header, len(raw)), 200)]
    for cut in cuts:
        path.write_bytes(raw[:cut])
        with pytest.raises(ValueError, match=r"load: .*model\.safetensors is cut short"):
            load(saved)


def test_bytes_behind_the_last_tensor(saved: Path) -> None:
    with (saved / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    refused(saved, r"its tensors take \d+ bytes, \d+ are there")


ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"width": 10**12}, "width must be at most 65536, got 1000000000000"),
    ({"width": 65_537}, "width must be at most 65536, got 65537"),
    ({"width": 65_536}, r"must be \(8, 65536\), got \(8, 5\)|must be \(8, 5\)|must be \(262144, 5"),
    ({"width": True}, "width must be an integer, got True"),
    ({"width": 5.0}, "width must be an integer, got 5.0"),
    ({"width": "5"}, "width must be an integer, got '5'"),
    ({"width": None}, "width must be an integer, got None"),
    ({"width": [5]}, r"width must be an integer, got \[5\]"),
    ({"width": {}}, "width must be an integer, got {}"),
    ({"width": -1}, "width must be at least 1, got -1"),
    ({"depth": 1_025}, "depth must be at most 1024, got 1025"),
    ({"depth": 1_024}, "the arguments ask for more than 7 tensors"),
    ({"depth": 2}, "'rnn.weight_ih_l1' is missing"),
    ({"depth": True}, "depth must be an integer, got True"),
    ({"embedding_width": 2**40}, "embedding_width must be at most 65536"),
    ({"embedding_width": "wide"}, "embedding_width must be an integer, got 'wide'"),
    ({"head": {"class": "Categorical", "classes": 2**24 + 1}}, "classes must be at most 16777216"),
    ({"head": {"class": "Categorical", "classes": 2**24}}, "must be .16777217, 5., got .8, 5."),
    ({"head": {"class": "Categorical", "classes": False}}, "classes must be an integer, got False"),
    ({"head": {"class": "Categorical"}}, "Categorical: config must have the keys"),
    (
        {"head": {"class": "Pickle", "classes": 7}},
        "class must be one of Categorical, LogisticMixture, got 'Pickle'",
    ),
    ({"head": {"class": ["Categorical"], "classes": 7}}, "class must be one of Categorical"),
    (
        {"head": "Categorical"},
        "class must be one of Categorical, LogisticMixture, got 'Categorical'",
    ),
    ({"head": None}, "class must be one of Categorical, LogisticMixture, got None"),
    ({"cell": "rnn"}, "cell must be 'lstm' or 'gru', got 'rnn'"),
    ({"cell": ["lstm"]}, "cell must be 'lstm' or 'gru'"),
    ({"cell": "gru"}, r"rnn.weight_ih_l0 must be \(15, 5\), got \(20, 5\)"),
    ({"dropout": True}, r"dropout must be in \[0, 1\), got True"),
    ({"dropout": "0"}, r"dropout must be in \[0, 1\), got '0'"),
    ({"dropout": 1}, r"dropout must be in \[0, 1\), got 1"),
    ({"dropout": None}, r"dropout must be in \[0, 1\), got None"),
    ({"start": True}, "start must be 'learnt', 'zeros' or a symbol below 7, got True"),
    ({"start": 1.0}, "start must be .* got 1.0"),
    ({"start": [0]}, "start must be"),
    ({"start": 7}, "start must be .* got 7"),
    ({"start": "zeros"}, r"embed.weight must be \(7, 5\), got \(8, 5\)"),
    ({"symbols": {"kind": "bytes"}}, "symbols must be 7, as the head's classes, got 256"),
    ({"symbols": {"kind": "characters", "characters": 5}}, "characters must be a string"),
    ({"symbols": {"kind": "words"}}, "kind must be 'characters' or 'bytes'"),
    ({"symbols": []}, "config must be a mapping"),
    ({"__class__": 1}, "argument '__class__' is unknown"),
]


@pytest.mark.parametrize(("changed", "message"), ARGUMENTS, ids=lambda v: str(v)[:40])
def test_wrong_arguments(saved: Path, changed: dict[str, Any], message: str) -> None:
    edit_arguments(saved, lambda arguments: arguments.update(changed))
    refused(saved, message)


def test_missing_argument(saved: Path) -> None:
    edit_arguments(saved, lambda arguments: arguments.pop("width"))
    refused(saved, "argument 'width' is missing")


METADATA: list[tuple[dict[str, Any], str]] = [
    (
        {"class": "Foo"},
        r"class must be one of .*PixelCNN, SequenceModel.* \(see genfast.register\), got 'Foo'",
    ),
    ({"class": "os.system"}, "class must be one of"),
    ({"class": ""}, "class must be one of"),
    ({"class": 5}, "its metadata must be strings by name"),
    ({"class": None}, "its metadata must be strings by name"),
    ({"format": "2"}, "must have format 1, got '2'"),
    ({"arguments": "[]"}, "metadata arguments must be a JSON object, got a list"),
    ({"arguments": ""}, "metadata arguments is no valid JSON"),
    ({"arguments": '{"a": NaN}'}, "a number must be finite, got NaN"),
    ({"arguments": '{"a": 1e999}'}, "a number must be finite, got 1e999"),
    ({"arguments": '{"a": 1' + "0" * 5000 + "}"}, "an integer must have 64 bits, got 1000"),
    ({"arguments": '{"a": 1, "a": 2}'}, "the key 'a' stands twice in one object"),
    ({"arguments": '{"a":' * 40 + "1" + "}" * 40}, "must be nested at most 32 deep"),
    ({"arguments": '{"a":' + DEEP}, "must have at most 100000 values"),
    ({"arguments": '{"a":' + DEEP[:90_000]}, "arguments is no valid JSON: maximum recursion"),
    ({"arguments": "\ud800"}, "metadata arguments must be ASCII"),
    ({"class": "\ud800"}, r"got '\\ud800'"),
    ({"format": "\ud800"}, r"got '\\ud800'"),
    ({"figures": "null"}, "metadata figures must be a JSON object, got a NoneType"),
]


@pytest.mark.parametrize(("changed", "message"), METADATA, ids=lambda v: str(v)[:40])
def test_wrong_metadata(saved: Path, changed: dict[str, Any], message: str) -> None:
    (saved / "config.json").unlink()
    edit_header(saved, lambda header: header["__metadata__"].update(changed))
    refused(saved, message)


@pytest.mark.parametrize("key", ["class", "arguments", "figures", "format"])
def test_metadata_without_a_key(saved: Path, key: str) -> None:
    edit_header(saved, lambda header: header["__metadata__"].pop(key))
    refused(saved, f"holds no model of genfast: its metadata has no {key}")


def entry(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header["readout.bias"].update(changed)


def set_entry(value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda header: header.__setitem__("readout.bias", value)


ENTRIES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (entry(dtype="F8"), "dtype must be one of F64, F32, F16, BF16, I64, got 'F8'"),
    (entry(dtype=["F32"]), "dtype must be one of"),
    (entry(dtype="F16"), "takes 14 bytes, its data_offsets span 28"),
    (entry(dtype="I64", shape=[7]), "takes 56 bytes, its data_offsets span 28"),
    (entry(shape=[2**62, 2**62, 2**62]), "bytes, its data_offsets span 28"),
    (entry(shape=[True, 7]), "shape must be at most 8 counts"),
    (entry(shape=[7.0]), "shape must be at most 8 counts"),
    (entry(shape=[-7]), "shape must be at most 8 counts"),
    (entry(shape=7), "shape must be at most 8 counts"),
    (entry(shape=[1] * 9), "shape must be at most 8 counts"),
    (entry(shape=[1, 7]), r"readout.bias must be \(7,\), got \(1, 7\)"),
    (entry(data_offsets=[0]), "data_offsets must be two counts"),
    (entry(data_offsets=[0, True]), "data_offsets must be two counts"),
    (entry(data_offsets=[0, 28]), "overlaps the one before it"),
    (entry(data_offsets=[10**9, 10**9 + 28]), "leaves a gap to the one before it"),
    (entry(more=1), "must have dtype, shape and data_offsets"),
    (set_entry(None), "must have dtype, shape and data_offsets"),
    (lambda h: h.pop("readout.bias"), "its tensors take"),
    (lambda h: h.update({"x" * 500: h.pop("readout.bias")}), "'readout.bias' is missing"),
    (
        lambda h: h.update(more={"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}),
        "'more' is no tensor of the model",
    ),
    (lambda h: h.pop("__metadata__"), "its metadata has no"),
    (lambda h: h.update(__metadata__=[]), "its metadata must be strings by name"),
]


@pytest.mark.parametrize(("edit", "message"), ENTRIES, ids=[m[:40] for _, m in ENTRIES])
def test_wrong_tensors(saved: Path, edit: Callable[[dict[str, Any]], Any], message: str) -> None:
    edit_header(saved, edit)
    refused(saved, message)


def test_a_tensor_twice(saved: Path) -> None:
    path = saved / "model.safetensors"
    header, data = split_weights(path.read_bytes())
    one = json.dumps({"readout.bias": header["readout.bias"]})[1:-1]
    path.write_bytes(joined_weights(json.dumps(header)[:-1] + f", {one}}}", data))
    refused(saved, "the key 'readout.bias' stands twice")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{" + '"a": [], ' * 99_999, "must have at most 100000 values"),
        (" " * (2**24 + 1), "its header claims 16777217 bytes, at most 16777216 can be"),
        ("\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "must be ASCII"),
        ("", "is no valid JSON"),
        ("[]", "must be a JSON object, got a list"),
        (DEEP[:90_000], "is no valid JSON"),
    ],
    ids=range(6),
)
def test_headers_that_are_none(saved: Path, header: str, message: str) -> None:
    (saved / "model.safetensors").write_bytes(joined_weights(header, b""))
    refused(saved, message)


def test_a_header_longer_than_any_file(saved: Path) -> None:
    (saved / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}" * 20)
    refused(saved, "its header claims 18446744073709551615 bytes, at most 40 can be")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_named(saved: Path, wrong: float) -> None:
    path = saved / "model.safetensors"
    header, data = split_weights(path.read_bytes())
    begin = header["rnn.weight_hh_l0"]["data_offsets"][0] + 4 * (5 * 13 + 2)
    word = torch.tensor([wrong]).numpy().tobytes()
    path.write_bytes(joined_weights(header, data[:begin] + word + data[begin + 4 :]))
    refused(saved, rf"rnn.weight_hh_l0 must be finite, got {wrong} at \(13, 2\)")


COPIES: list[tuple[bytes, str]] = [
    (b"", "config.json is no valid JSON"),
    (b"{", "config.json is no valid JSON"),
    (b"\xff{}", "config.json must be ASCII"),
    (DEEP[:90_000].encode(), "config.json is no valid JSON"),
    (b"[]", "config.json must be a JSON object"),
    (b"{}", 'class is "SequenceModel" in model.safetensors and absent in config.json'),
    (b'{"class": "Foo", "arguments": {}}', 'class is "SequenceModel" in .* and "Foo" in'),
]


@pytest.mark.parametrize(("copy", "message"), COPIES, ids=lambda v: str(v)[:40])
def test_interrupted_save(saved: Path, copy: bytes, message: str) -> None:
    (saved / "config.json").write_bytes(copy)
    refused(saved, f"interrupted save in .*{message}")


@pytest.mark.parametrize("value", [6, 5.0, True, None, "5"])
def test_interrupted_save_says_which_file_says_what(saved: Path, value: Any) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["arguments"]["width"] = value
    (saved / "config.json").write_text(json.dumps(config))
    said = json.dumps(value)
    refused(saved, f"arguments.width is 5 in model.safetensors and {said} in config.json; save")


def test_figures_alone_may_differ(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"figures": {"bits": 9}}))
    assert same(load(saved), model_of())


def test_a_config_too_large_to_be_read(saved: Path) -> None:
    with (saved / "config.json").open("wb") as file:
        file.truncate(2**24 + 1)
    refused(saved, "config.json must have at most 16777216 bytes, got 16777217")


@pytest.mark.parametrize("path", [5, None, b"run", "a\0b"])
def test_a_path_that_is_none(path: Any) -> None:
    refused(path, "path must be the path of a folder")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 3.5])
def test_a_device_that_is_none(saved: Path, device: Any) -> None:
    with pytest.raises(ValueError, match="load: device must be one of this machine's, got"):
        load(saved, device)
