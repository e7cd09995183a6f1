"""What networks of one pass share: the keys of their configs, and what else they are told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genfast.arguments import described

__all__ = ["checked_keys", "with_condition"]


def checked_keys(
    name: str, config: Mapping[str, Any], constructor: Callable[..., object]
) -> dict[str, Any]:
    """The arguments of a constructor, all of them and no others, or ValueError.

    Args:
        name: Of the class, for the message.
        config: What a file says.
        constructor: Whose parameters are the keys.
    """
    keys = [key for key in inspect.signature(constructor).parameters if key != "self"]
    for key in [*keys, *config]:
        if key not in config or key not in keys:
            what = "is missing" if key in keys else "is unknown"
            raise ValueError(f"{name}: argument {key[:40]!r} {what}")
    return dict(config)


def with_condition(name: str, x: Tensor, condition: Tensor | None, width: int | None) -> Tensor:
    """Rows with a condition beside them.

    Args:
        name: Of the class, for the message.
        x: (N, D).
        condition: (N, K).
        width: K, None where there is to be none.

    Raises:
        ValueError: It is missing, has another width, or there is no place for it.
    """
    if condition is None and width is None:
        return x
    if condition is None or width is None or condition.shape[-1] != width:
        wanted = "None" if width is None else f"float (N, {width})"
        got = None if condition is None else described(condition)
        raise ValueError(f"{name}: condition must be {wanted}, got {got}")
    return torch.cat([x, condition], -1)
