"""How well a model tells a text that it has not seen."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.data import windows
from genfast.models import SequenceModel

__all__ = ["bits_per_symbol", "stretches"]

# Symbols that one row sees from its start on, and rows of a batch: what bounds the memory.
_LONGEST, _ROWS = 8192, 8


def stretches(
    tokens: Int64[Tensor, " length"],
) -> list[tuple[Int64[Tensor, "rows width"], Int64[Tensor, " rows"]]]:
    """A whole text as batches of long windows and the lengths of their rows."""
    rows = max(_ROWS, -(-len(tokens) // _LONGEST))
    cut, lengths = windows(tokens, rows)
    return list(zip(torch.split(cut, _ROWS), torch.split(lengths, _ROWS), strict=True))


def bits_per_symbol(model: SequenceModel, tokens: Int64[Tensor, " length"]) -> float:
    """Bits that the model needs for each symbol of a text, in evaluation mode.

    Args:
        model: Left in the mode that it was in.
        tokens: int64 (L,), L >= 1.
    """
    device, was = next(model.parameters()).device, model.training
    model.eval()
    try:
        with torch.inference_mode():
            nats = -sum(
                model.log_prob(rows.to(device), lengths.to(device)).double().sum().item()
                for rows, lengths in stretches(tokens)
            )
    finally:
        model.train(was)
    return nats / math.log(2) / len(tokens)
