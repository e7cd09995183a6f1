"""Disks that are full and folders that refuse: one line, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Regression, data
from torch import nn

import genfast
from genfast.training import History, fit

HERE = Path(__file__).parent


def run(model: nn.Module, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.05, "batch_size": 8, "progress": False, **options})


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    model = Regression()
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="file"):
            run(model, data(20), epochs=1, out=out)
    assert not model.steps_seen


def test_a_read_only_folder_is_refused_before_training(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("512k")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    model = Regression()
    with pytest.raises(OSError, match=r"Read-only file system: '.*log.csv'"):
        run(model, data(20), epochs=1, out=disk)
    assert not model.steps_seen


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"0" * 512):
            pass


@pytest.mark.parametrize("victim", ["checkpoint.pt", "log.csv"])
def test_a_full_disk_leaves_the_last_checkpoint(
    victim: str, small_disk: Callable[[str], Path]
) -> None:
    """Whatever is written when it fills up; with room again the run goes on to the same end."""
    disk = small_disk("512k")

    def batch(step: int) -> Any:
        if step == 5:
            fill(disk / "filler")
        return data(4, step)

    every = 0.0 if victim == "checkpoint.pt" else 1e9
    options: dict[str, Any] = {"steps": 400, "out": disk, "checkpoint_every": every}
    whole = Regression()
    run(whole, lambda step: data(4, step), steps=400)
    with pytest.raises(OSError, match=rf"No space left on device: '.*{victim}'"):
        run(Regression(), batch, **options)
    (disk / "filler").unlink()
    assert not list(disk.glob(".*"))
    resumed = Regression()
    history = run(resumed, lambda step: data(4, step), resume=True, **options)
    assert (disk / "log.csv").read_text().count("\n") - 1 == history.steps == 400
    assert torch.equal(resumed.linear.weight, whole.linear.weight)


LIMITED = """
import resource, signal, sys, torch
sys.path.insert(0, sys.argv[2])
from small import Regression, data
from genfast.training import fit
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60000, resource.RLIM_INFINITY))
model = Regression()
model.more = torch.nn.Parameter(torch.zeros(50000))
fit(model, data(20), epochs=1, out=sys.argv[1], progress=False)
"""


def test_a_file_that_may_not_grow_is_named(tmp_path: Path) -> None:
    paths = [str(Path(genfast.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(HERE)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("OSError: [Errno 27] File too large: ")
    assert last.endswith("checkpoint.pt'")
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
