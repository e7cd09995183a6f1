"""Trains in a child that is killed with -9 again and again, and resumed until it is done.

    python endure.py FOLDER KIND KILLS

The parent imports what a run needs; children are forked, so that being born is quick. It leaves
`uninterrupted.pt`, `endured.pt` and `facts.json` beside the run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small import Game, data, sentences, small_lstm

from genfast.training import fit

STEPS_A_KILL = 30
KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "lstm": lambda: (small_lstm(dropout=0.3), sentences()),
    "game": lambda: (Game(), data(22)),  # 20 of them to train on: no batch is a single row
}


def train(kind: str, steps: int, left: Path, **options: Any) -> None:
    """A run in which nothing may be forgotten: dropout, averages, patience, parts of epochs."""
    model, examples = KINDS[kind]()
    history = fit(
        model,
        examples,
        steps=steps,
        batch_size=4,
        accumulate=2,
        ema=0.95,
        patience=1000,
        evaluate_every=7,
        checkpoint_every=0.0,
        progress=False,
        **options,
    )
    kept = history.state_dict()
    told = {name: kept[name] for name in ("values", "held_out", "epoch_steps", "rates")}
    torch.save({"weights": model.state_dict(), "history": told}, left)


def born(work: Callable[[], None]) -> int:
    """A child at work."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(f"child: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


def seconds_of(work: Callable[[], None]) -> float:
    """How long a child works undisturbed."""
    start = time.monotonic()
    _, status = os.waitpid(born(work), 0)
    assert status == 0
    return time.monotonic() - start


def killed(work: Callable[[], None], delay: float) -> bool:
    """Whether a child was still at work when the kill came; it must not fail by itself."""
    child = born(work)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return status != 0


def main(folder: Path, kind: str, kills: int) -> None:
    steps = STEPS_A_KILL * kills
    run, spare = folder / "run", folder / "spare"
    # It imports for seconds, once for all lives.
    train(kind, 1, folder / "first.pt", out=folder / "first")
    whole = seconds_of(lambda: train(kind, steps, folder / "uninterrupted.pt", out=spare))

    def life() -> None:
        train(kind, steps, folder / "endured.pt", out=run, resume=True)

    moments = random.Random(0)
    struck = inside = 0
    for _ in range(kills):
        struck += killed(life, moments.uniform(0, whole / kills))
        inside += bool(list(run.glob(".checkpoint.pt.*.partial")))
    seconds_of(life)
    facts = {"kills": struck, "inside a checkpoint": inside, "seconds": whole}
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
