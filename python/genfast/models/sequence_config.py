"""Arguments of a SequenceModel: checked, and to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from genfast.data import Symbols, symbols_from_config
from genfast.files.limits import MOST_DEPTH, MOST_WIDTH, checked_size
from genfast.heads import Categorical, head_from_config

__all__ = ["arguments_of", "check_options", "check_sizes", "checked_start", "config_of"]

_KEYS = (
    "head",
    "cell",
    "width",
    "depth",
    "embedding_width",
    "dropout",
    "start",
    "symbols",
)


def config_of(model: Any) -> dict[str, Any]:
    """What a model is made of, as JSON."""
    values = (
        model.head.config(),
        "lstm" if isinstance(model.rnn, nn.LSTM) else "gru",
        model.rnn.hidden_size,
        model.rnn.num_layers,
        model.embed.embedding_dim,
        model.dropout,
        model.start,
        None if model.symbols is None else model.symbols.config(),
    )
    return dict(zip(_KEYS, values, strict=True))


def arguments_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the constructor, which checks their values.

    Raises:
        ValueError: A key is missing or unknown, or the head or symbols are none.
    """
    for key in [*_KEYS, *config]:
        if key not in config or key not in _KEYS:
            what = "is missing" if key in _KEYS else "is unknown"
            raise ValueError(f"SequenceModel: argument {key[:40]!r} {what}")
    symbols = config["symbols"]
    return dict(config) | {
        "head": head_from_config(config["head"]),
        "symbols": None if symbols is None else symbols_from_config(symbols),
    }


def check_sizes(width: int, depth: int, embedding_width: int | None) -> tuple[int, int, int]:
    """The three as integers, or ValueError; an embedding is as wide as a layer when None."""
    embedding_width = width if embedding_width is None else embedding_width
    return (
        checked_size("SequenceModel: width", width, MOST_WIDTH),
        checked_size("SequenceModel: depth", depth, MOST_DEPTH),
        checked_size("SequenceModel: embedding_width", embedding_width, MOST_WIDTH),
    )


def check_options(cell: str, dropout: float, symbols: Symbols | None, head: Categorical) -> None:
    """ValueError for the first that is out of range."""
    classes = getattr(head, "classes", None)
    if classes is None:
        raise ValueError(f"SequenceModel: head must draw one of several classes, got {head!r:.80}")
    if cell not in ("lstm", "gru"):
        raise ValueError(f"SequenceModel: cell must be 'lstm' or 'gru', got {cell!r:.80}")
    is_number = isinstance(dropout, int | float) and not isinstance(dropout, bool)
    if not is_number or not 0.0 <= dropout < 1.0:
        raise ValueError(f"SequenceModel: dropout must be in [0, 1), got {dropout!r:.80}")
    if symbols is not None and not isinstance(symbols, Symbols):
        kind = type(symbols).__name__
        raise ValueError(f"SequenceModel: symbols must be a Vocabulary or Bytes, got a {kind}")
    if symbols is not None and len(symbols) != classes:
        raise ValueError(
            f"SequenceModel: symbols must be {classes}, as the head's classes, got {len(symbols)}"
        )


def checked_start(start: str | int, classes: int) -> str | int:
    """The start as it is, or ValueError."""
    if start in ("learnt", "zeros"):
        return start
    if isinstance(start, int) and not isinstance(start, bool) and 0 <= start < classes:
        return start
    raise ValueError(
        f"SequenceModel: start must be 'learnt', 'zeros' or a symbol below {classes}, "
        f"got {start!r:.80}"
    )
