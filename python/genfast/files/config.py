"""What a saved model says of itself: its class, the arguments it was made of, its figures.

The metadata of the weights holds it, and is the truth: one file, one rename. config.json is a copy
for other readers, written last; where it says something else, a save was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genfast.files import strict_json

__all__ = ["CONFIG", "FORMAT", "README", "WEIGHTS", "Saved", "check_copy"]

#: Names of the files of a saved model.
WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"
#: What this version writes and reads.
FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """A model without its weights.

    Args:
        name: Its class, as registered.
        arguments: What `from_config` takes.
        figures: What was measured of it, by name.
    """

    name: str
    arguments: dict[str, Any]
    figures: dict[str, Any]

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], name: str) -> Saved:
        """Reads what `metadata` wrote.

        Args:
            metadata: Of the weights.
            name: Their file, for errors.

        Raises:
            ValueError: Something is missing, of another format, or no JSON object.
        """
        missing = {"format", "class", "arguments", "figures"} - set(metadata)
        if missing:
            raise ValueError(
                f"{name} holds no model of genfast: its metadata has no {min(missing)}"
            )
        if metadata["format"] != str(FORMAT):
            written = metadata["format"][:20]
            raise ValueError(f"{name} must have format {FORMAT}, got {written!r}")
        arguments, figures = (
            strict_json.parse_object(metadata[key], f"{name}: metadata {key}")
            for key in ("arguments", "figures")
        )
        return cls(metadata["class"], arguments, figures)

    def metadata(self) -> dict[str, str]:
        """Strings for the metadata of the weights.

        Raises:
            ValueError: The arguments or figures are no JSON.
        """
        return {
            "format": str(FORMAT),
            "class": self.name,
            "arguments": strict_json.dump(self.arguments, "save: config() of the model"),
            "figures": strict_json.dump(self.figures, "save: figures"),
        }

    def config(self, extra: Mapping[str, Any] | None = None) -> bytes:
        """The bytes of config.json.

        Args:
            extra: What else it holds, by key.

        Raises:
            ValueError: `extra` is no JSON, or has a key of the model's.
        """
        own = {
            "format": FORMAT,
            "class": self.name,
            "arguments": self.arguments,
            "figures": self.figures,
        }
        taken = own.keys() & (extra or {})
        if taken:
            raise ValueError(f"save: extra must not have the key {min(taken)!r}")
        return (strict_json.dump(own | dict(extra or {}), "save: extra", indent=2) + "\n").encode()


def check_copy(saved: Saved, raw: bytes, folder: str) -> None:
    """ValueError, an interrupted save, unless config.json says what the weights say."""
    try:
        copy = strict_json.parse_object(raw, CONFIG)
    except ValueError as error:
        raise _interrupted(folder, str(error)) from None
    truth = {"class": saved.name, "arguments": saved.arguments}
    found = _difference("", truth, {key: copy[key] for key in truth if key in copy})
    if found is not None:
        path, stored, copied = found
        raise _interrupted(folder, f"{path} is {stored} in {WEIGHTS} and {copied} in {CONFIG}")


def _interrupted(folder: str, reason: str) -> ValueError:
    return ValueError(
        f"load: interrupted save in {folder}: {reason}; save again, or remove {CONFIG} "
        f"to load what {WEIGHTS} says"
    )


def _difference(path: str, stored: Any, copied: Any) -> tuple[str, str, str] | None:
    """Where two JSON values first differ, and both; 1, 1.0 and true are three values."""
    if _json(stored) == _json(copied):
        return None
    if not (isinstance(stored, dict) and isinstance(copied, dict)):
        return path, _json(stored)[:60], _json(copied)[:60]
    keys = [*stored, *(key for key in copied if key not in stored)]
    inside = (
        _difference(
            f"{path}.{key[:40]}".lstrip("."), stored.get(key, _ABSENT), copied.get(key, _ABSENT)
        )
        for key in keys
    )
    return next(found for found in inside if found is not None)


def _json(value: object) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, sort_keys=True)


_ABSENT = object()
