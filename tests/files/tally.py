"""What becomes of mutated folders. Run as a program it prints it:

tally.py COUNT [FIRST]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from allocations import Allocations
from mutate import CONFIG, WEIGHTS, base_folders, mutated

from genfast.models import load


class Tally:
    """What became of mutated folders.

    Attributes:
        outcomes: How many were "loaded", and how many refused, by the kind of error.
        slowest: Seconds of this thread's processor time.
        excess: The most bytes taken beyond twice what the folder holds.
        largest: The largest storage that torch made, as a share of the folder.
        reasons: How often each refusal was met, without what differs from file to file.
    """

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.slowest = self.excess = self.largest = 0.0

    def try_folder(self, path: Path, size: int) -> None:
        """Loads a folder, which is refused in one line or gives finite weights."""
        started = time.thread_time()
        outcome, reason = _outcome(path)
        self.slowest = max(self.slowest, time.thread_time() - started)
        # Again, for measuring memory takes its time; twice, for once in a while a load meets the
        # moment when the interpreter enlarges a table of its own, by megabytes.
        python, torch = (min(taken) for taken in zip(_memory(path), _memory(path), strict=True))
        self.excess = max(self.excess, python + torch - 2 * size)
        self.largest = max(self.largest, torch / max(size, 1))
        self.outcomes[outcome] += 1
        self.reasons[reason] += 1


def _memory(path: Path) -> tuple[int, int]:
    """Bytes of Python and of torch that loading takes; see `Allocations`."""
    with Allocations() as taken:
        _outcome(path)
    return taken.python, taken.torch


def _outcome(path: Path) -> tuple[str, str]:
    """ "loaded" or the kind of error, and the error without what differs from file to file."""
    try:
        model = load(path)
    except (ValueError, OSError) as error:
        text = str(error)
        assert text.startswith("load: "), text
        assert "\n" not in text, text
        assert len(text) < 800, text
        assert "memory" not in text, text
        return type(error).__name__, " ".join(text.replace(str(path), "").split()[:6])
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    return "loaded", "loaded"


def run(where: Path, count: int, first: int = 0) -> Tally:
    """Mutates and loads `count` folders; number `first + i` is the same in every run."""
    bases = base_folders(where / "bases")
    target, tally = where / "mutated", Tally()
    target.mkdir()
    for number in range(first, first + count):
        folder = mutated(number, bases)
        for name in (WEIGHTS, CONFIG):
            (target / name).unlink(missing_ok=True)
            if name in folder:
                (target / name).write_bytes(folder[name])
        try:
            tally.try_folder(target, sum(map(len, folder.values())))
        except BaseException as error:
            error.add_note(f"of mutated folder {number}")
            raise
    return tally


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        told = run(Path(temporary), int(sys.argv[1]), int((sys.argv[2:] or ["0"])[0]))
    print(dict(told.outcomes))
    print(f"slowest {told.slowest:.3f} s, {told.excess:.0f} bytes beyond twice the folder")
    print(f"largest storage of torch: {told.largest:.2f} of the folder")
    for reason, times in told.reasons.most_common(60):
        print(f"{times:6} {reason}")
