"""Saving: what is refused before a file is written, disks that are full or read-only, the card."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_models import SYMBOLS, model_of, same
from torch import nn

from genfast import files
from genfast.data import Bytes
from genfast.models import SequenceModel, load

FILES = ["README.md", "config.json", "model.safetensors"]


def listing(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def with_weight(value: float) -> SequenceModel:
    model = model_of()
    with torch.no_grad():
        model.readout.bias[3] = value
    return model


def with_module(name: str, module: nn.Module) -> SequenceModel:
    model = model_of()
    setattr(model, name, module)
    return model


class Unregistered(SequenceModel):
    """A subclass that nobody registered."""


REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (
        lambda p: with_weight(float("nan")).save(p),
        r"readout.bias must be finite, got nan at \(3,\)",
    ),
    (lambda p: with_weight(float("-inf")).save(p), "readout.bias must be finite, got -inf"),
    (lambda p: model_of().save(p, {"bits": float("nan")}), "figures must be JSON: Out of range"),
    (lambda p: model_of().save(p, {"bits": torch.ones(1)}), "figures must be JSON: Object of type"),
    (lambda p: model_of().save(p, {"a": 2**70}), "an integer must have 64 bits"),
    (
        lambda p: with_module("readout", nn.Linear(6, 7)).save(p),
        r"SequenceModel is not what its config\(\) says: readout.weight must be \(7, 5\), got",
    ),
    (
        lambda p: with_module("more", nn.Linear(1, 1)).save(p),
        "'more.weight' is no tensor of the model",
    ),
    (lambda p: model_of().to(torch.complex64).save(p), "embed.weight must be one of F64, F32"),
    (lambda p: Unregistered(model_of().head).save(p), "class Unregistered must be registered"),
    (lambda p: files.save(nn.Linear(1, 1), p), r"must have config\(\) and from_config"),
    (lambda p: files.save(model_of(), p, extra={"class": 1}), "must not have the key 'class'"),
    (lambda p: files.save(model_of(), p, extra={"a": {1, 2}}), "extra must be JSON"),
    (lambda p: files.save(model_of(), p, others={"../a": b""}), "files inside the folder"),
    (lambda p: files.save(model_of(), p, others={"/a": b""}), "files inside the folder"),
    (lambda p: files.save(model_of(), p, others={"config.json": b""}), "files inside the folder"),
    (lambda _: model_of().save("hf://me/mine"), "path must be a folder of this machine"),
]


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize(("save", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refused_before_a_file_is_written(
    tmp_path: Path, save: Callable[[Path], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"save: .*{message}|^an integer"):
        save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_parents_are_made(tmp_path: Path) -> None:
    model_of().save(tmp_path / "a" / "b" / "c")
    assert listing(tmp_path / "a" / "b" / "c") == FILES


@contextmanager
def fails(file: Path, *errors: int) -> Iterator[None]:
    """A save that ends in one OSError naming a file, the old model whole, nothing beside it."""
    path = file.parent
    before = {name: (path / name).read_bytes() for name in listing(path)}
    with pytest.raises(OSError, match=r"^\[Errno \d+\] .*: '.*'$") as caught:
        yield
    assert caught.value.errno in errors
    assert caught.value.filename == str(file)
    assert {name: (path / name).read_bytes() for name in listing(path)} == before
    assert same(load(path), model_of())


@pytest.mark.parametrize(
    ("free", "name"), [(0, "config.json"), (8, "model.safetensors"), (120, "other")]
)
def test_a_full_disk(small_disk: Callable[[str], Path], free: int, name: str) -> None:
    """Kilobytes left: for no file, for the config alone, for all but the last file."""
    disk = small_disk("256k")
    model_of().save(disk)
    model = model_of(50)
    room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(room - free * 1024))
    with fails(disk / name, errno.ENOSPC):
        files.save(model, disk, others={"other": bytes(60 * 1024)})
    (disk / "filler").unlink()
    model.save(disk)
    assert same(load(disk), model)


def test_a_file_may_grow_no_further(tmp_path: Path) -> None:
    """As a full disk, where mounting one is not allowed."""
    model_of().save(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with fails(tmp_path / "model.safetensors", errno.EFBIG):
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        try:
            model_of(50).save(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_read_only_disk(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("256k")
    model_of().save(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with fails(disk / "config.json", errno.EROFS):
        model_of(17).save(disk)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    model_of().save(tmp_path)
    tmp_path.chmod(0o555)
    try:
        with fails(tmp_path / "config.json", errno.EACCES):
            model_of(17).save(tmp_path)
    finally:
        tmp_path.chmod(0o755)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        model_of().save(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == b"mine"


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    """Names change only when every file is written: nothing has happened when this is met."""
    model_of().save(tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(OSError, match=r"config\.json") as caught:
        model_of(17).save(tmp_path)
    assert caught.value.errno in (errno.EISDIR, errno.EPERM)
    (tmp_path / "config.json").rmdir()
    assert same(load(tmp_path), model_of())
    assert not [name for name in listing(tmp_path) if name.endswith(".partial")]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "run").mkdir()
    for name in FILES:
        (tmp_path / "run" / name).symlink_to("../mine")
    model_of().save(tmp_path / "run")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert same(load(tmp_path / "run"), model_of())


def card(folder: Path) -> str:
    return (folder / "README.md").read_text()


def test_card_says_what_the_model_is_and_how_to_draw(tmp_path: Path) -> None:
    model = model_of(symbols=SYMBOLS)
    model.save(tmp_path / "run", {"bits per site": 1.23456789, "steps": 30, "a|b": "x\ny"})
    text = card(tmp_path / "run")
    assert text.startswith("# run\n")
    weights = sum(p.numel() for p in model.parameters())
    assert f"A `SequenceModel` of genfast: {weights} weights in float32." in text
    assert "| width | 5 |" in text
    assert "| symbols | 7 characters |" in text
    assert "| bits per site | 1.23457 |" in text
    assert r"| a\|b | x y |" in text
    assert "1/model.onnx" not in text
    assert "## Licence" in text


@pytest.mark.parametrize(("symbols", "classes"), [(None, 7), (SYMBOLS, 7), (Bytes(), 256)])
def test_python_of_the_card_runs(
    tmp_path: Path,
    symbols: Any,
    classes: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_of(classes=classes, symbols=symbols).save(tmp_path / 'the "best" run')
    code = card(tmp_path / 'the "best" run').split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    drawn = model_of(classes=classes).sample(4, 200, seed=0).values
    expected = str(drawn) if symbols is None else symbols.decode(drawn[0])
    assert capsys.readouterr().out == f"{expected}\n"


def test_card_of_an_exported_model_shows_its_sampler(tmp_path: Path) -> None:
    files.save(model_of(), tmp_path / "run", extra={"sampler": {}})
    assert 'sampler = Sampler("run")' in card(tmp_path / "run")


def test_what_its_user_wrote_of_the_licence_stays(tmp_path: Path) -> None:
    model_of().save(tmp_path)
    path = tmp_path / "README.md"
    path.write_text(card(tmp_path).partition("Not said yet")[0] + "CC0.\n\n## Thanks\n\nTo all.\n")
    model_of(17).save(tmp_path)
    assert card(tmp_path).endswith("## Licence\n\nCC0.\n\n## Thanks\n\nTo all.\n")
    assert "| width | 17 |" in card(tmp_path)
