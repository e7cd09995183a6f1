"""What a folder must hold, and one clear line for everything else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import onnx
import pytest
from toys import CLASSES, change, write_toy

from genfast.runtime import Sampler


def refused(path: Path, kind: type[Exception] = ValueError) -> str:
    """What `Sampler` says of a bad folder; one line, with the place."""
    with pytest.raises(kind) as caught:
        Sampler(path)
    said = str(caught.value)
    assert said.startswith("Sampler: ")
    assert "\n" not in said
    return said


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "must be the folder of an export" in refused(tmp_path / "none", FileNotFoundError)


@pytest.mark.parametrize("name", ["config.json", "1/model.onnx"])
def test_a_missing_file(toy: Path, name: str) -> None:
    (toy / name).unlink()
    assert f"{toy / name} is missing" in refused(toy, FileNotFoundError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 10**5, "is not JSON"),
        ('{"sampler": ' + "9" * 10**4 + "}", "is not JSON"),
        ("[]", "is of no export"),
        ('{"format": 1, "class": "SequenceModel"}', "is of no export"),
        ('{"sampler": []}', "is of no export"),
        ('{"sampler": {"format": 2}}', "must have format 1, got 2"),
    ],
)
def test_a_config_of_something_else(toy: Path, text: str, message: str) -> None:
    (toy / "config.json").write_text(text)
    assert message in refused(toy)


def test_a_config_that_is_no_text(toy: Path) -> None:
    (toy / "config.json").write_bytes(b"\xff\xfe{}\x80")
    assert "is not JSON" in refused(toy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": "loop"}, "graph must be sampler, uniforms or step, got 'loop'"),
        ({"classes": 0}, "classes must be an integer of at least 1, got 0"),
        ({"classes": True}, "classes must be an integer of at least 1, got True"),
        ({"classes": 2**40}, "classes must be"),
        ({"symbols": "abc"}, "symbols must be an object or null, got 'abc'"),
        ({"symbols": {"kind": "words"}}, f"symbols must name {CLASSES} characters"),
        ({"symbols": {"kind": "bytes"}}, f"symbols must name {CLASSES} characters"),
        ({"symbols": {"kind": "characters", "characters": "ab"}}, "symbols must name"),
        ({"symbols": {"kind": "characters", "characters": "a" * CLASSES}}, "symbols must name"),
        ({"inputs": []}, "inputs must be a list of names, got []"),
        ({"inputs": "seed"}, "inputs must be a list of names, got 'seed'"),
        ({"outputs": [1]}, "outputs must be a list of names, got [1]"),
        ({"top_k": -1}, 'top_k must be an integer, "input" or null, got -1'),
        ({"top_p": 0}, 'top_p must be a number in (0, 1], "input" or null, got 0'),
        ({"top_p": float("nan")}, "top_p must be"),
        ({"stop": "a"}, "stop must be a symbol or null, got 'a'"),
        ({"stop": CLASSES}, f"stop must be below {CLASSES} or null, got {CLASSES}"),
        ({"states": [{"name": "h"}]}, "states must be a list of names and widths"),
        ({"sha256": "0" * 63}, "sha256 must be 64 hexadecimal digits"),
        ({"sha256": None}, "sha256 must be 64 hexadecimal digits, got None"),
        ({"step": "../../elsewhere"}, "step must be the name of a folder beside this"),
        ({"step": ".."}, "step must be the name of a folder beside this"),
        ({"inputs": ["seed"]}, "has inputs ['index', 'length', 'prompt', 'prompt_length', 'seed'"),
        ({"outputs": ["values"]}, "has outputs ['lengths', 'values'], config.json says ['values']"),
        ({"graph": "uniforms"}, "has inputs"),
    ],
)
def test_a_field_that_is_wrong(toy: Path, changes: dict[str, Any], message: str) -> None:
    change(toy, **changes)
    assert message in refused(toy)


def test_a_model_that_was_changed_after_export(toy: Path) -> None:
    file = toy / "1" / "model.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert f"{file} was changed after export" in refused(toy)


def test_a_model_that_is_no_graph(toy: Path) -> None:
    import hashlib

    data = b"no graph at all"
    (toy / "1" / "model.onnx").write_bytes(data)
    change(toy, sha256=hashlib.sha256(data).hexdigest())
    assert "ONNX Runtime cannot load" in refused(toy)


@pytest.mark.parametrize("name", ["config.json", "1/model.onnx"])
def test_a_link_that_leaves_the_folder(toy: Path, name: str) -> None:
    file = toy / name
    elsewhere = toy.parent / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert f"{file} is a link that leaves the folder" in refused(toy)


def test_a_link_to_the_folder_itself(toy: Path) -> None:
    link = toy.parent / "link"
    link.symlink_to(toy)
    assert Sampler(link).sample(1, 2, seed=0).values.shape == (1, 2)


def test_a_pipe_is_not_waited_for(toy: Path) -> None:
    (toy / "config.json").unlink()
    os.mkfifo(toy / "config.json")
    assert "must be a regular file" in refused(toy)


def test_a_config_too_large_to_read(toy: Path) -> None:
    with (toy / "config.json").open("r+b") as file:
        file.truncate(2**40)
    assert "must be a regular file of at most" in refused(toy)


def test_a_step_graph_is_not_what_to_open(toy: Path) -> None:
    assert "give the sampler's own folder" in refused(toy.parent / "toy_step")


def test_the_step_graph_is_checked_when_it_is_used(toy: Path) -> None:
    sampler = Sampler(toy)
    change(toy.parent / "toy_step", classes=3, symbols=None)
    with pytest.raises(ValueError, match="has no step graph of this sampler"):
        sampler.stream(1, seed=0)
    (toy.parent / "toy_step" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"toy_step/config.json is missing"):
        sampler.stream(1, seed=0)


def test_an_export_without_a_step_graph(toy: Path) -> None:
    change(toy, step=None)
    with pytest.raises(ValueError, match="has no step graph"):
        Sampler(toy).stream(1)


def test_toys_are_onnx(tmp_path: Path) -> None:
    for graph in ("sampler", "uniforms", "step"):
        path = write_toy(tmp_path / graph, graph)
        onnx.checker.check_model(path / "1" / "model.onnx", full_check=True)
        assert json.loads((path / "config.json").read_text())["sampler"]["graph"] == graph
