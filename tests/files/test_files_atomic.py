"""replacing: the old file or the new one, and nothing beside it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from genfast.files import replacing, write_bytes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_with_the_mode_of_any_new_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"new")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fail() -> None:
        with replacing(tmp_path / "a") as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_the_name_changes_last(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_nested_blocks_change_names_from_the_innermost_out(tmp_path: Path) -> None:
    with replacing(tmp_path / "last"), replacing(tmp_path / "first"):
        pass
    (tmp_path / "first").unlink()
    (tmp_path / "first").mkdir()
    with (
        pytest.raises(IsADirectoryError, match="first"),
        replacing(tmp_path / "a"),
        replacing(tmp_path / "first"),
    ):
        pass
    assert names(tmp_path) == ["first", "last"]


def test_errors_name_the_file_that_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none/a'$"):
        write_bytes(tmp_path / "none" / "a", b"")
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError, match=r"b'$"):
        write_bytes(tmp_path / "b", b"")
    with pytest.raises(FileNotFoundError, match=r"other'$"), replacing(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    assert names(tmp_path) == ["b"]


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    for name in (".a.0123.partial", ".a.4567.partial", ".b.0123.partial", ".a[1].0.partial"):
        (tmp_path / name).write_bytes(b"half")
    old = time.time() - 7200
    for name in (".a.0123.partial", ".b.0123.partial", ".a[1].0.partial"):
        os.utime(tmp_path / name, (old, old))
    write_bytes(tmp_path / "a", b"")
    assert names(tmp_path) == [".a.4567.partial", ".a[1].0.partial", ".b.0123.partial", "a"]
    write_bytes(tmp_path / "a[1]", b"")
    assert ".a[1].0.partial" not in names(tmp_path)
