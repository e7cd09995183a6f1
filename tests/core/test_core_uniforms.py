"""The compiled uniforms against Threefry written in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


def threefry2x32(key: list[int], counter: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(..., 2) words of (..., 2) counters."""
    keys = np.array([*key, key[0] ^ key[1] ^ 0x1BD11BDA], np.uint32)
    x, y = counter[..., 0] + keys[0], counter[..., 1] + keys[1]
    for group in range(5):
        for r in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x = x + y
            y = (y << np.uint32(r) | y >> np.uint32(32 - r)) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return np.stack([x, y], -1)


def expected(seed: int, index: int, first: int, draws: int) -> NDArray[np.float32]:
    number = first + np.arange(draws, dtype=np.int64)
    counter = np.stack([np.full(draws, index), number >> 1], -1).astype(np.uint32)
    words = threefry2x32([seed & 0xFFFFFFFF, seed >> 32], counter)
    word = np.where(number & 1, words[:, 1], words[:, 0])
    return (word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def drawn(core: Any, seed: int, index: int, first: int, draws: int) -> NDArray[np.float32]:
    out = np.full((1, draws), np.nan, np.float32)
    core.uniforms(np.array([seed]), np.array([index]), np.array([first]), out)
    return out[0]


def test_known_answer() -> None:
    counter = np.array([[0x243F6A88, 0x85A308D3]], np.uint32)
    words = threefry2x32([0x13198A2E, 0x03707344], counter)
    assert words.tolist() == [[0xC4923A9C, 0x483DF7A0]]


@pytest.mark.parametrize("draws", [1, 2, 17, 129])
@pytest.mark.parametrize("first", [0, 1, 6, 2**33 - 129])
@pytest.mark.parametrize(("seed", "index"), [(0, 0), (2**63 - 1, 2**32 - 1), (1 << 40, 77)])
def test_uniforms(core: Any, seed: int, index: int, first: int, draws: int) -> None:
    assert np.array_equal(
        drawn(core, seed, index, first, draws), expected(seed, index, first, draws)
    )


def test_every_row_has_its_own(core: Any, rng: np.random.Generator) -> None:
    seeds, indices, first = rng.integers(2**31, size=(3, 17))
    out = np.full((17, 9), np.nan, np.float32)
    core.uniforms(seeds, indices, first, out)
    for row in range(17):
        assert np.array_equal(out[row], expected(seeds[row], indices[row], first[row], 9))


@pytest.mark.parametrize("draws", [1, 2, 9, 128])
def test_rows_of_a_gpu_followed_on_the_host(
    core: Any, rng: np.random.Generator, draws: int
) -> None:
    """Odd and even first draws, seeds of 63 bits, the last index and the last draw."""
    seeds, indices = rng.integers(2**63, size=17), rng.integers(2**32, size=17)
    first = rng.integers(2**33 - draws, size=17)
    indices[3], first[:3] = 2**32 - 1, [0, 1, 2**33 - draws]
    expected_rows, around = np.zeros((17, draws), np.float32), np.full((19, draws), -1, np.float32)
    core.uniforms(seeds, indices, first, expected_rows)
    core._simulated_uniforms(seeds, indices, first, around[1:18])
    assert np.array_equal(around[1:18], expected_rows)
    assert (around[[0, 18]] == -1).all()


def test_a_gpu_s_rows_are_on_a_gpu(core: Any) -> None:
    with pytest.raises(ValueError, match="seeds must be on the GPU"):
        core.cuda_uniforms(*np.zeros((3, 2), np.int64), np.zeros((2, 3), np.float32), 0)


@pytest.mark.parametrize(
    ("index", "draw", "value"),
    [(600802, 1, 0), (3409490, 2, 0), (253230, 5, 0), (3154904, 0, 1 - 2**-24)],
)
def test_edge_draws(core: Any, index: int, draw: int, value: float) -> None:
    assert drawn(core, 0, index, draw, 1)[0] == value


def test_fold_has_the_high_bit_in_its_key(core: Any) -> None:
    ((low, high),) = threefry2x32([5, 0x80000000], np.array([[3, 9]], np.uint32)).tolist()
    assert core.fold(5, 3, 9) == (high & 0x7FFFFFFF) << 32 | low


@pytest.mark.parametrize(
    ("position", "array"),
    [
        (0, np.zeros(3, np.int64)),
        (1, np.zeros(2, np.float32)),
        (2, np.zeros((2, 1), np.int64)),
        (3, np.zeros((2, 3), np.float64)),
        (3, np.zeros((3, 2), np.float32).T),
    ],
)
def test_wrong_arrays(core: Any, position: int, array: Any) -> None:
    arrays = [*np.zeros((3, 2), np.int64), np.zeros((2, 3), np.float32)]
    arrays[position] = array
    with pytest.raises(ValueError, match=r"seeds|indices|first|out"):
        core.uniforms(*arrays)


def test_read_only_out(core: Any) -> None:
    out = np.zeros((1, 1), np.float32)
    out.flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        core.uniforms(*np.zeros((3, 1), np.int64), out)
