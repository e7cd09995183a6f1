"""Run as a program: saves that are killed, and what is loaded after each. Prints one line of JSON.

    killed_saves.py random FOLDER KILLS    kill -9 from outside, at random moments
    killed_saves.py steps FOLDER           the end before each call that touches a file

A child is forked for every kill, so that torch is imported once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from saved_models import model_of, same

from genfast import files
from genfast.models import load

MODELS = {width: model_of(width) for width in (5, 17)}
# Whatever changes a folder, or makes a change last, goes through these.
CALLS = ("replace", "unlink", "fsync", "mkdir")


def save(width: int, folder: Path, figures: dict[str, Any]) -> None:
    """As an export does: with another file, and a digest of it in config.json."""
    graph = b"graph of %d" % width
    extra = {"sampler": {"sha256": hashlib.sha256(graph).hexdigest()}}
    files.save(MODELS[width], folder, figures=figures, extra=extra, others={"1/g": graph})


def check(folder: Path) -> int:
    """The width of the model in the folder, which is one of the two to the bit."""
    loaded = load(folder)
    width = int(loaded.config()["width"])
    assert same(loaded, MODELS[width]), "mixed weights"
    config = folder / "config.json"
    if config.exists():
        digest = json.loads(config.read_text())["sampler"]["sha256"]
        graph = (folder / "1" / "g").read_bytes()
        assert digest == hashlib.sha256(graph).hexdigest(), "config.json and graph disagree"
    return width


def in_child(work: Callable[[], object]) -> int:
    """Forks a child that works and ends; its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def save_for_ever(folder: Path) -> None:
    for number, width in zip(itertools.count(), itertools.cycle(MODELS)):
        save(width, folder, {"number": number})


def random_kills(folder: Path, kills: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(7)
    save(5, folder, {})
    for _ in range(kills):
        child = in_child(lambda: save_for_ever(folder))
        time.sleep(chance.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        width = check(folder)
        killed = os.WIFSIGNALED(status)
        yield {"width": width, "config": (folder / "config.json").exists(), "killed": killed}


def ends_before(call: int, folder: Path) -> None:
    """Saves width 17, and ends as a kill would before the call of this number."""
    calls = itertools.count()

    def ending(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            if next(calls) == call:
                os._exit(9)
            return function(*args, **options)

        return run

    for name in CALLS:
        setattr(os, name, ending(getattr(os, name)))
    save(17, folder, {"new": True})


def every_step(folder: Path) -> Iterator[dict[str, Any]]:
    for call in itertools.count():
        shutil.rmtree(folder, ignore_errors=True)
        save(5, folder, {})
        child = in_child(lambda call=call: ends_before(call, folder))
        _, status = os.waitpid(child, 0)
        killed = os.waitstatus_to_exitcode(status) == 9
        yield {
            "width": check(folder),
            "config": (folder / "config.json").exists(),
            "killed": killed,
        }
        if not killed:
            return


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[2])
    rows = random_kills(where, int(sys.argv[3])) if sys.argv[1] == "random" else every_step(where)
    print(json.dumps(list(rows)))
