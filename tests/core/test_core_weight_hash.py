"""The hash of weights: any change of a bit, a shape, a dtype or the order changes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def weights(rng: np.random.Generator) -> list[np.ndarray]:
    shapes = [(1,), (17,), (3, 5), (129,), (64, 33)]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def test_equal_weights_have_equal_hashes(core: Any, rng: np.random.Generator) -> None:
    arrays = weights(rng)
    value = core.weight_hash(arrays)
    assert 0 <= value < 2**64
    assert core.weight_hash([a.copy() for a in arrays]) == value


@pytest.mark.parametrize("bit", range(0, 32, 5))
def test_every_bit_counts(core: Any, rng: np.random.Generator, bit: int) -> None:
    arrays = weights(rng)
    hashes = {core.weight_hash(arrays)}
    places = [(i, j) for i, a in enumerate(arrays) for j in range(0, a.size, 1 + a.size // 61)]
    for array, place in places:
        word = arrays[array].reshape(-1).view(np.uint32)[place : place + 1]
        word ^= np.uint32(1 << bit)
        hashes.add(core.weight_hash(arrays))
        word ^= np.uint32(1 << bit)
    assert len(hashes) == 1 + len(places)


def test_order_shape_dtype_and_cut_count(core: Any, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 12)).astype(np.float32)
    forms: list[list[np.ndarray]] = [
        [a, b],
        [b, a],
        [a.reshape(3, 4), b],
        [a.reshape(4, 3), b],
        [np.concatenate([a, b])],
        [a[:6], np.concatenate([a[6:], b])],
        [a.view(np.int32), b],
        [a, b, np.zeros(0, np.float32)],
        [a],
        [],
    ]
    assert len({core.weight_hash(form) for form in forms}) == len(forms)


def test_zeros_of_differing_lengths(core: Any) -> None:
    hashes = {core.weight_hash([np.zeros(n, np.float32)]) for n in range(70)}
    assert len(hashes) == 70


def test_swapped_words_count(core: Any, rng: np.random.Generator) -> None:
    """Two words change places, at every distance up to a few vectors."""
    a = rng.standard_normal(300).astype(np.float32)
    hashes = {core.weight_hash([a])}
    for distance in range(1, 140):
        b = a.copy()
        b[[7, 7 + distance]] = b[[7 + distance, 7]]
        hashes.add(core.weight_hash([b]))
    assert len(hashes) == 140
