"""The folder of a run: what is in it, and who writes there. ::

checkpoint.pt   all that the run needs to go on
log.csv         a row for every step
curves.png      the losses, where matplotlib is installed
...             the model itself, where it has `save`
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from genfast.training.checkpoint import Checkpoint, restore
from genfast.training.curves import Curves
from genfast.training.distributed import Processes
from genfast.training.history import Callback
from genfast.training.log import Log
from genfast.training.run import Run
from genfast.training.saver import Saver

_CHECKPOINT = "checkpoint.pt"
_TRACES = (_CHECKPOINT, "log.csv", "config.json", "model.safetensors")


class Folder:
    """Where a run is kept, if anywhere.

    Args:
        out: The folder; None keeps nothing.
        resume: Whether to go on with the run that is there.
        every: Seconds between two checkpoints.

    Raises:
        ValueError: An argument is wrong, or the folder holds a run and `resume` is False.
    """

    def __init__(self, out: str | Path | None, resume: bool, every: float) -> None:
        if resume and out is None:
            raise ValueError("fit: resume needs the folder of the run, got out=None")
        if not 0 <= every < math.inf:
            raise ValueError(f"fit: checkpoint_every must be at least 0 seconds, got {every}")
        self._path = None if out is None else Path(out)
        self._resume, self._every = resume, every
        trace = next((n for n in _TRACES if self._path and (self._path / n).exists()), None)
        if trace is not None and not resume:
            raise ValueError(
                f"fit: out {out} holds a run already ({trace}); resume=True continues it"
            )

    def open(
        self, run: Run, record: dict[str, Any], processes: Processes, files: ExitStack
    ) -> list[Callback]:
        """Brings a run to where it stood, and returns what writes it down in this process.

        Raises:
            ValueError: The checkpoint cannot be gone on from, or the model's `check_saving` says
                that it cannot be saved.
            OSError: The folder cannot be read or written.
        """
        if self._path is None:
            return []
        if hasattr(run.state.model, "check_saving"):
            run.state.model.check_saving()  # type: ignore[operator]
        if self._resume and (self._path / _CHECKPOINT).exists():
            restore(self._path / _CHECKPOINT, run, record)
        self._wait_for_all(run, processes)
        return [] if processes.rank else self._writers(self._path, run, record, files)

    def _wait_for_all(self, run: Run, processes: Processes) -> None:
        """Nobody writes before everybody has read."""
        steps = run.state.history.steps
        if processes.sums([steps])[0] != processes.size * steps:
            raise ValueError(f"fit: every process must see the same {self._path}, got others")

    def _writers(
        self, path: Path, run: Run, record: dict[str, Any], files: ExitStack
    ) -> list[Callback]:
        path.mkdir(parents=True, exist_ok=True)
        for partial in path.glob(".*.partial"):  # of a run that was killed
            partial.unlink()
        savers = [Saver(path, run)] if hasattr(run.state.model, "save") else []
        checkpoint = Checkpoint(path / _CHECKPOINT, run, record, self._every)
        new = not run.state.history.steps
        for saver in savers if new else ():  # what cannot be saved is refused before it is trained
            saver.on_evaluation(run.state)
        log = files.enter_context(Log(path / "log.csv", run.state.history))
        if new:
            checkpoint.write()
        return [log, checkpoint, Curves(path / "curves.png"), *savers]
