"""hf:// through huggingface_hub: its cache of links is followed, no further; folders need none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from saved_models import model_of, same

from genfast.models import load

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache: Path) -> Path:
    """A repository as the hub's cache holds it; the folder of its one revision."""
    root = cache / "models--owner--name"
    snapshot = root / "snapshots" / COMMIT
    model_of().save(snapshot)
    for folder in ("blobs", "refs"):
        (root / folder).mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    for path in list(snapshot.iterdir()):
        path.rename(root / "blobs" / f"hash-of-{path.name}")
        path.symlink_to(f"../../blobs/hash-of-{path.name}")
    return snapshot


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """A huggingface_hub that finds one repository, and the arguments it was called with."""
    seen: list[Any] = []

    def snapshot_download(repository: str, **options: Any) -> str:
        seen.append((repository, options))
        if repository != "owner/name":
            raise ConnectionError("404 Client Error.\n\nRepository Not Found for url: ...")
        return str(tmp_path / "models--owner--name" / "snapshots" / COMMIT)

    hub = ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    return seen


@pytest.mark.parametrize(
    ("address", "revision"),
    [("hf://owner/name", None), ("hf://owner/name@v1.0", "v1.0"), ("hf://owner/name@a/b", "a/b")],
)
def test_needed_files_alone_are_fetched(
    tmp_path: Path, calls: list[Any], address: str, revision: str | None
) -> None:
    cached(tmp_path)
    assert same(load(address), model_of())
    wanted = {"revision": revision, "allow_patterns": ["model.safetensors", "config.json"]}
    assert calls == [("owner/name", wanted)]


def test_links_must_stay_inside_the_repository(tmp_path: Path, calls: list[Any]) -> None:
    snapshot = cached(tmp_path)
    weights = snapshot / "model.safetensors"
    weights.resolve().rename(tmp_path / "elsewhere")
    weights.unlink()
    weights.symlink_to("../../../elsewhere")
    with pytest.raises(ValueError, match=r"model\.safetensors is a link that leaves the folder"):
        load("hf://owner/name")


def test_a_repository_that_is_not_there(calls: list[Any]) -> None:
    with pytest.raises(OSError, match=r"load: hf://no/body cannot be fetched: 404 Client Error\.$"):
        load("hf://no/body")


@pytest.mark.parametrize(
    "address", ["hf://", "hf://owner", "hf://a/b/c", "hf://../b c", "hf://a/b@", "hf://a/b@x\n"]
)
def test_addresses_that_are_none(calls: list[Any], address: str) -> None:
    with pytest.raises(ValueError, match="load: path must be hf://owner/name or"):
        load(address)
    assert calls == []


def test_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is asked for where it is needed, and folders do without it."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match="needs huggingface_hub; install it: pip install"):
        load("hf://owner/name")
    model_of().save(tmp_path)
    assert same(load(tmp_path), model_of())


def test_folders_never_ask_the_hub(tmp_path: Path, calls: list[Any]) -> None:
    model_of().save(tmp_path / "owner" / "name")
    assert same(load(tmp_path / "owner" / "name"), model_of())
    with pytest.raises(FileNotFoundError):
        load("owner/name")
    with pytest.raises(FileNotFoundError):
        load(Path("hf://owner/name"))
    assert calls == []


def test_huggingface_hub_itself_from_its_cache(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    cached(tmp_path)
    code = "import genfast.models as m; print(m.load('hf://owner/name').config()['width'])"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "5\n", done.stderr
