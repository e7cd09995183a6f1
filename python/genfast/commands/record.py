"""run.json: what a run was begun with, so that it is gone on with in the same way or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["RECORD", "Record"]

RECORD = "run.json"
_FORMAT = 2


@dataclass(frozen=True)
class Record:
    """What decides how a run ends; two runs of equal records end in the same weights.

    Attributes:
        command: Which command trains.
        arguments: Its options, as JSON.
        data_sha256: Of the text or the images that it trains on, in hexadecimal.
        data_bytes: Their length.
        format: Of the file.
    """

    command: str
    arguments: Mapping[str, Any]
    data_sha256: str
    data_bytes: int
    format: int = _FORMAT

    @classmethod
    def of(cls, command: str, arguments: Mapping[str, Any], data: Iterable[bytes]) -> Record:
        """The record of a run that is about to begin or to go on; its data piece by piece."""
        # Through JSON and back, so that a record just made equals one that was read.
        plain = json.loads(json.dumps(dict(arguments)))
        digest, length = sha256(), 0
        for piece in data:
            digest.update(piece)
            length += len(piece)
        return cls(command, plain, digest.hexdigest(), length)

    def keep(self, folder: Path) -> bool:
        """Writes the record, or compares it with the one that is there.

        Returns:
            Whether the run was there.

        Raises:
            ValueError: The run there was begun otherwise: what differs is named; or the folder
                holds something else.
            OSError: The folder cannot be made or written.
        """
        from genfast.files.atomic import write_bytes

        path = folder / RECORD
        if path.is_file():
            self._compare(path)
            return True
        folder.mkdir(parents=True, exist_ok=True)
        # A kill while the record was written leaves its part alone behind.
        if other := [p.name for p in folder.iterdir() if not p.match(f".{RECORD}.*.partial")]:
            raise ValueError(f"train: {folder} holds no run to go on with, but {sorted(other)[0]}")
        write_bytes(path, (json.dumps(asdict(self), indent=2) + "\n").encode())
        return False

    def _compare(self, path: Path) -> None:
        try:
            there = Record(**json.loads(path.read_bytes()))
        except (ValueError, TypeError):
            raise ValueError(f"train: {path} is no record of a run; is it damaged?") from None
        differing = [
            f"{name} was {_shown(old)}, got {_shown(new)}"
            for name, old, new in self._pairs(there)
            if old != new
        ]
        if differing:
            raise ValueError(
                f"train: --resume must repeat what {path} says; {'; '.join(differing)}"
            )

    def _pairs(self, there: Record) -> list[tuple[str, Any, Any]]:
        """(name, there, here) of everything that must be equal; options by their names."""
        old = there.arguments if isinstance(there.arguments, Mapping) else {}
        names = sorted({*old, *self.arguments})
        return [
            ("format", there.format, self.format),
            ("command", there.command, self.command),
            ("data", there._data, self._data),
            *((name, old.get(name), self.arguments.get(name)) for name in names),
        ]

    @property
    def _data(self) -> str:
        return f"{self.data_bytes} bytes of sha256 {str(self.data_sha256)[:12]}..."


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
