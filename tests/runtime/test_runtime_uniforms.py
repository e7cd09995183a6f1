"""The NumPy Threefry against the library's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genfast import random
from genfast.runtime import uniforms

SEEDS = st.integers(0, 2**63 - 1)
INDICES = st.integers(0, 2**32 - 1)
FIRSTS = st.integers(0, 2**33 - 8)


@given(rows=st.lists(st.tuples(SEEDS, INDICES, FIRSTS), min_size=1, max_size=5))
def test_equal_to_the_library_s(rows: list[tuple[int, int, int]]) -> None:
    seed, index, first = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    theirs = random.uniforms_reference(*map(torch.from_numpy, (seed, index, first)), 7).numpy()
    ours = uniforms(seed, index, first, 7)
    assert ours.dtype == np.float32
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(
    ("index", "draw", "expected"),
    [(600802, 1, 0.0), (3409490, 2, 0.0), (253230, 5, 0.0), (3154904, 0, 1 - 2.0**-24)],
)
def test_edges_of_seed_0(index: int, draw: int, expected: float) -> None:
    rows = (np.array([number], np.int64) for number in (0, index, draw))
    assert uniforms(*rows, 1) == np.float32(expected)


def test_no_rows_and_no_draws() -> None:
    none, one = np.zeros(0, np.int64), np.zeros(1, np.int64)
    assert uniforms(none, none, none, 3).shape == (0, 3)
    assert uniforms(one, one, one, 0).shape == (1, 0)
