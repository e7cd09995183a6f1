"""`checkpoint.pt`: all that a run needs to go on, in one file that is whole or not there."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from genfast.training.history import Callback, State
from genfast.training.record import check_fingerprint, check_record, fingerprint
from genfast.training.run import Run
from genfast.training.writing import writing

_FORMAT = 1


class Checkpoint(Callback):
    """Writes a run down every so often, at every held-out loss, and when it stops.

    A run that a callback stops is written down as it was when the callback asked: its last held-out
    loss was taken because it stopped, and an uninterrupted run has none there.

    Args:
        path: The file.
        run: What to write.
        record: The options that its weights depend on.
        every: Seconds between two of them.
    """

    def __init__(self, path: Path, run: Run, record: dict[str, Any], every: float) -> None:
        self._path, self._run, self._record, self._every = path, run, record, every
        self._next = 0.0

    def on_step(self, state: State) -> None:
        """Writes when it is time, and when a callback has asked to stop."""
        if state.stop or time.monotonic() >= self._next:
            self.write()

    def on_evaluation(self, state: State) -> None:
        """Writes, unless a callback has stopped the run."""
        if state.history.stopped != "callback":
            self.write()

    def on_stop(self, state: State) -> None:
        """As `on_evaluation`."""
        self.on_evaluation(state)

    def write(self) -> None:
        """Writes.

        Raises:
            OSError: The disk is full or refuses; the checkpoint before is still there.
        """
        contents = {
            "format": _FORMAT,
            "record": self._record,
            "fingerprint": fingerprint(self._run),
            "run": self._run.state_dict(),
        }
        with writing(self._path) as file:
            torch.save(contents, file)
        self._next = time.monotonic() + self._every


def restore(path: Path, run: Run, record: dict[str, Any]) -> None:
    """Makes a run what a checkpoint says.

    Raises:
        ValueError: The file is damaged or something else, or of another model or other options;
            the run is as it was, unless the file was made to deceive.
        OSError: The file cannot be read.
    """
    contents = _read(path)
    try:
        check_fingerprint(path, contents["fingerprint"], fingerprint(run))
        check_record(path, contents["record"], record, contents["run"]["history"])
        run.load_state_dict(contents["run"])
    except _Damage as error:
        raise _damaged(path, error) from error


_Damage = (KeyError, TypeError, AttributeError, IndexError, RuntimeError)


def _read(path: Path) -> dict[str, Any]:
    path.open("rb").close()  # whoever may not read it gets an OSError that says so
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()  # torch reads on where the sums differ
        if bad is not None:
            raise ValueError(f"{bad} has another check sum")
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _damaged(path, error) from error
    if not isinstance(contents, dict) or "format" not in contents:
        raise _damaged(path, "it says no format")
    if contents["format"] != _FORMAT:
        raise ValueError(f"fit: {path} must have format {_FORMAT}, got {contents['format']!r}")
    return contents


def _damaged(path: Path, why: object) -> ValueError:
    reason = " ".join(str(why).split())[:100]
    return ValueError(
        f"fit: {path} is damaged or no checkpoint of fit ({reason}); without it the run starts anew"
    )
