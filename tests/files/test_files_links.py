"""Links that leave the folder, and what is no regular file: refused, without a wait."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from refusals import refused


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_link_that_leaves_the_folder(saved: Path, name: str, inside: bool) -> None:
    elsewhere = saved.parent / "elsewhere"
    (saved / name).rename(elsewhere)
    (saved / name).symlink_to("../elsewhere" if inside else elsewhere)
    refused(saved, f"{name} is a link that leaves the folder")


def test_a_linked_folder_inside_the_folder_that_leaves_it(saved: Path) -> None:
    (saved / "model.safetensors").rename(saved.parent / "model.safetensors")
    (saved / "out").symlink_to(saved.parent)
    (saved / "model.safetensors").symlink_to("out/model.safetensors")
    refused(saved, "model.safetensors is a link that leaves the folder")


def test_a_circle_of_links(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors").symlink_to("model.safetensors")
    refused(saved, "model.safetensors is a link to itself", OSError)
    (saved.parent / "circle").symlink_to("circle")
    refused(saved.parent / "circle", "circle is a link to itself", OSError)


@pytest.fixture(params=["fifo", "folder", "device", "socket"])
def special(request: pytest.FixtureRequest, saved: Path) -> Iterator[Callable[[str], None]]:
    """Puts something that is no regular file in the place of one."""
    bound = socket.socket(socket.AF_UNIX)

    def put(name: str) -> None:
        path = saved / name
        path.unlink()
        if request.param == "fifo":
            os.mkfifo(path)
        elif request.param == "folder":
            path.mkdir()
        elif request.param == "socket":
            here = os.getcwd()
            os.chdir(saved)  # the address of a socket may have 108 bytes
            bound.bind(name)
            os.chdir(here)
        else:
            try:
                os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("making a device is not allowed here")

    yield put
    bound.close()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_is_no_regular_file(saved: Path, special: Callable[[str], None], name: str) -> None:
    special(name)
    refused(saved, f"{name} must be a regular file")


def test_what_is_not_there(saved: Path, tmp_path: Path) -> None:
    refused(tmp_path / "none", "there is no folder .*none", FileNotFoundError)
    refused(saved / "model.safetensors", "must be the folder of a saved model", NotADirectoryError)
    (saved / "model.safetensors").unlink()
    refused(saved, "there is no model.safetensors in", FileNotFoundError)
