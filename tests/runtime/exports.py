"""Real exports, mixed batches, and how what was drawn elsewhere is held against the library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

import genfast
from genfast import heads, testing
from genfast.data import Vocabulary
from genfast.sampling import Request

CHARACTERS = " ,-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# Of some hundred draws each: one in a million may differ, by rounding at an edge.
MOST_ARE_EQUAL = 0.9


@cache
def exported_model() -> genfast.SequenceModel:
    """A model of characters whose distributions are neither flat nor sure."""
    torch.manual_seed(5)
    symbols = Vocabulary(CHARACTERS)
    head = heads.Categorical(len(symbols))
    model = genfast.SequenceModel(head, cell="gru", width=33, depth=2, symbols=symbols).eval()
    with torch.no_grad():
        model.readout.weight *= 8
    return model


def mixed(n: int) -> dict[str, np.ndarray]:
    """Arguments of `Sampler.sample` that differ from row to row: prompts, lengths, seeds, ..."""
    rng = np.random.default_rng(1)
    return {
        "seed": rng.integers(0, 2**63, n),
        "index": rng.integers(0, 2**32, n),
        "length": rng.integers(0, 200, n),
        "temperature": rng.choice([0.5, 0.8, 1.0, 1.3], n),
        "prompt": rng.integers(0, len(CHARACTERS), (n, 9)),
        "prompt_lengths": rng.integers(0, 10, n),
    }


def agree(
    model: genfast.SequenceModel, rows: Sequence[np.ndarray], given: dict[str, np.ndarray]
) -> float:
    """Checks draws by replay; returns the share of rows equal to the library's.

    Args:
        model: What was drawn from.
        rows: New symbols of each row.
        given: Arguments of each row, of which `length` is where a row without a stop ends.

    Raises:
        AssertionError: A draw is not what its uniform asks for.
    """
    options = {name: torch.from_numpy(array) for name, array in given.items() if name != "length"}
    lengths = torch.tensor([len(row) for row in rows])
    values = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for row, symbols in zip(values, rows, strict=True):
        row[: len(symbols)] = torch.from_numpy(symbols)
    ours = model.sample(len(rows), values.shape[1], **options).values
    testing.replay_drawn(model, genfast.Sample(values, lengths, 0), Request(**options))
    counts = torch.arange(values.shape[1]) < lengths[:, None]
    return float(((values == ours) | ~counts).all(1).float().mean())
