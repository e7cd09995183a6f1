"""JSON that two readers cannot take for two things, within bounds of size, depth and numbers.

It is ASCII (other characters are escaped), has no key twice, no NaN or infinity, no integer beyond
64 bits. So a text of n bytes never becomes a string of more than n.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

__all__ = ["MOST_BYTES", "dump", "parse_object"]

#: The longest text that is read.
MOST_BYTES = 2**24
#: The most values in it: each costs Python some 100 bytes, however short it is written.
MOST_VALUES = 100_000
#: Lists and objects inside each other.
MOST_NESTED = 32


def parse_object(raw: bytes | str, name: str) -> dict[str, Any]:
    """The JSON object of a text.

    Args:
        raw: The text.
        name: What it is, for errors.

    Raises:
        ValueError: It is no JSON as described above, or no object.
    """
    text = _ascii(raw, name)
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise ValueError(f"{name} must have at most {MOST_VALUES} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object, got a {type(value).__name__}")
    _check_nesting(value, name)
    return value


def dump(value: object, name: str, indent: int | None = None) -> str:
    """The JSON of an object, checked to be one that `parse_object` reads.

    Raises:
        ValueError: Something in it is not JSON, or is past the bounds.
    """
    try:
        text = json.dumps(value, allow_nan=False, indent=indent)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} must be JSON: {error}") from None
    parse_object(text, name)
    return text


def _ascii(raw: bytes | str, name: str) -> str:
    if len(raw) > MOST_BYTES:
        raise ValueError(f"{name} must have at most {MOST_BYTES} bytes, got {len(raw)}")
    if not raw.isascii():
        raise ValueError(f"{name} must be ASCII, other characters escaped")
    return raw if isinstance(raw, str) else raw.decode("ascii")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; json would silently keep the last of two equal keys."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object")
    return made


def _integer(text: str) -> int:
    # Length first: Python takes quadratic time over long numbers.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"an integer must have 64 bits, got {text[:24]}")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"a number must be finite, got {text[:24]}")
    return float(text)


def _check_nesting(value: object, name: str) -> None:
    """ValueError beyond MOST_NESTED; level by level, for recursion could not tell."""
    level: list[Any] = [value]
    for _ in range(MOST_NESTED):
        below = (v.values() if isinstance(v, dict) else v for v in level)
        level = [child for v in below for child in v if isinstance(child, list | dict)]
        if not level:
            return
    raise ValueError(f"{name} must be nested at most {MOST_NESTED} deep")
