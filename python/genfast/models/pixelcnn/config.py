"""Arguments of a PixelCNN: checked, and to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genfast.files.limits import (
    MOST_CHANNELS,
    MOST_CLASSES,
    MOST_DEPTH,
    MOST_LEVELS,
    MOST_SIDE,
    MOST_WIDTH,
    checked_size,
)
from genfast.heads import Categorical, head_from_config

__all__ = ["arguments_of", "check_choices", "checked_head", "checked_shape", "checked_sizes"]

KEYS = (
    "shape",
    "levels",
    "width",
    "depth",
    "variant",
    "head",
    "input",
    "embedding_width",
    "classes",
    "vector",
    "features",
)
_MOST = {
    "levels": MOST_LEVELS,
    "width": MOST_WIDTH,
    "depth": MOST_DEPTH,
    "embedding_width": MOST_WIDTH,
    "classes": MOST_CLASSES,
    "vector": MOST_WIDTH,
    "features": MOST_WIDTH,
}
_NEEDED = ("levels", "width", "depth")


def config_of(model: Any) -> dict[str, Any]:
    """What a model is made of, as JSON."""
    values = {name: getattr(model, name) for name in KEYS}
    return values | {"shape": list(model.shape), "head": model.head.config()}


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the constructor, which checks their values.

    Raises:
        ValueError: A key is missing or unknown, or the head is none.
    """
    for key in [*KEYS, *config]:
        if key not in config or key not in KEYS:
            what = "is missing" if key in KEYS else "is unknown"
            raise ValueError(f"PixelCNN: argument {key[:40]!r} {what}")
    return dict(config) | {"head": head_from_config(config["head"])}


def checked_shape(shape: object) -> tuple[int, int, int]:
    """(channels, rows, columns), or ValueError."""
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 3:
        raise ValueError(
            f"PixelCNN: shape must be (channels, rows, columns), got {shape!r:.80}"
        ) from None
    channels, rows, columns = shape
    return (
        checked_size("PixelCNN: channels of shape", channels, MOST_CHANNELS),
        checked_size("PixelCNN: rows of shape", rows, MOST_SIDE),
        checked_size("PixelCNN: columns of shape", columns, MOST_SIDE),
    )


def checked_sizes(**sizes: object) -> tuple[Any, ...]:
    """Sizes as integers in the order given, optional ones as None, or ValueError."""
    return tuple(
        None
        if size is None and name not in _NEEDED
        else checked_size(f"PixelCNN: {name}", size, _MOST[name])
        for name, size in sizes.items()
    )


def check_choices(levels: int, variant: str, input: str, embedding_width: int | None) -> None:
    """ValueError for the first that is out of range."""
    if levels < 2:
        raise ValueError(f"PixelCNN: levels must be at least 2, got {levels}")
    if variant not in ("masked", "gated"):
        raise ValueError(f"PixelCNN: variant must be 'masked' or 'gated', got {variant!r:.80}")
    if input not in ("real", "embedding"):
        raise ValueError(f"PixelCNN: input must be 'real' or 'embedding', got {input!r:.80}")
    if input == "real" and embedding_width is not None:
        raise ValueError(
            f"PixelCNN: embedding_width must be None for real input, got {embedding_width}"
        )


def checked_head(head: Any, levels: int, channels: int) -> Any:
    """The head, a Categorical when None; or ValueError unless it draws such pixels."""
    if head is None:
        return Categorical(levels)
    wanted = {"levels": levels, "channels": channels}
    if isinstance(head, Categorical):
        wanted = {"classes": levels}
    for name, number in wanted.items():
        if getattr(head, name, None) != number:
            what = f"Categorical({levels}) or a head of {levels} levels and {channels} channels"
            raise ValueError(f"PixelCNN: head must be {what}, got {head!r:.80}")
    return head
