"""`log.csv`: a row for every step."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from genfast.training.history import Callback, History, State
from genfast.training.writing import naming, writing

if TYPE_CHECKING:
    from typing import Self

_BEFORE = ("step", "epoch", "seconds", "lr")
_AFTER = ("held_out_loss", "held_out_bits_per_site")


class Log(Callback):
    """Writes the history down as it grows; when entered, all of it anew.

    So rows that are later than the checkpoint that a run goes on from disappear. The row of a step
    is written one step later, when it is known whether a held-out loss belongs to it.

    Args:
        path: The file.
        history: The run's.
    """

    def __init__(self, path: Path, history: History) -> None:
        self._path, self._history = path, history
        self._columns: list[str] = []
        self._rows = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._rewrite()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def on_step(self, state: State) -> None:
        """Writes the steps before this one."""
        self._append(state.step - 1)

    def on_stop(self, state: State) -> None:
        """Writes the last step."""
        self._append(state.step)

    def _append(self, end: int) -> None:
        if self._columns != list(self._history.values):
            self._rewrite()
        rows = [self._row(step) for step in range(self._rows + 1, end + 1)]
        self._rows = max(self._rows, end)
        if rows:
            self._write(_lines(rows))

    def _write(self, data: bytes) -> None:
        """At once and without a buffer, which a full disk would leave half written at the end."""
        assert self._file is not None
        with naming(self._path):
            while data:
                data = data[self._file.write(data) :]

    def _rewrite(self) -> None:
        """The header, which tells every number that a step has returned, and the rows so far."""
        self._close()
        self._columns = list(self._history.values)
        self._rows = max(self._rows, self._history.steps - 1)
        rows = [self._row(step) for step in range(1, self._rows + 1)]
        header: list[float | str] = [*_BEFORE, *self._columns, *_AFTER]
        with writing(self._path) as file:
            file.write(_lines([header, *rows]))
        with naming(self._path):
            self._file = open(self._path, "ab", buffering=0)  # noqa: SIM115

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _row(self, step: int) -> list[float | str]:
        history, i = self._history, step - 1
        held = history.held_out_at(step)
        bits = held / math.log(2) if history.in_sites else math.nan
        numbers = [history.values[name][i] for name in self._columns]
        cells = [history.times[i], history.rates[i], *numbers, held, bits]
        told: list[float | str] = ["" if math.isnan(x) else x for x in cells]
        return [step, history.epoch_of(step), *told]


def _lines(rows: Iterable[Sequence[float | str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
