"""The kernel of normals against Box and Muller's formula in more bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from box_muller import Array, noise

#: Of the radius: roundings of the radius, of cos and sin, and of the result.
TOLERANCE = 2.5 * 2.0**-24
#: For seed 0, a sample whose uniform of that number is 0, or the largest.
EDGES = [600802, 3409490, 253230, 3154904]


def drawn(
    core: Any, isa: str, seeds: Array, indices: Array, columns: int, mass: Any = None, threads=1
) -> Array:
    out = np.full((len(seeds), columns), np.nan, np.float32)
    mass = None if mass is None else np.asarray(mass, np.float32)
    core.normals(np.asarray(seeds), np.asarray(indices), mass, out, threads, isa)
    return out


@pytest.mark.parametrize("columns", [1, 2, 3, 17, 64, 129])
def test_normals_are_the_formula_s(core: Any, isa: str, columns: int) -> None:
    n, seed, index = 4000 if columns < 64 else 1000, 2**62 + 12345, 2**32 - 5000
    exact = noise(seed, index, (n, columns))
    found = drawn(core, isa, np.full(n, seed), index + np.arange(n), columns, threads=2)
    assert (np.abs(found - exact.normals) <= TOLERANCE * exact.radius).all()


@pytest.mark.parametrize("index", EDGES)
def test_uniforms_at_the_edges(core: Any, isa: str, index: int) -> None:
    exact = noise(0, index, (1, 6))
    for mass in (None, [1.0], [0.9]):
        found = drawn(core, isa, [0], [index], 6, mass)
        exact = noise(0, index, (1, 6), mass=1.0 if mass is None else np.float32(mass))
        assert (np.abs(found - exact.normals) <= TOLERANCE * exact.radius).all()


@pytest.mark.parametrize("radius", [1e-3, 0.1, 0.5, 1.0, 2.0, 4.0, 5.7, 9.0])
def test_truncated_normals_are_the_formula_s(core: Any, isa: str, radius: float) -> None:
    """Where the share is far below 1, and where it is next to it."""
    n, columns = 3000, 33
    mass = np.full(n, -np.expm1(-(radius**2) / 2), np.float32)
    exact = noise(3, 0, (n, columns), mass=mass)
    found = drawn(core, isa, np.full(n, 3), np.arange(n), columns, mass)
    assert (np.abs(found - exact.normals) <= TOLERANCE * exact.radius).all()
    assert np.abs(found).max() <= radius * (1 + 2e-7) or radius > 4


def test_all_of_the_plane_is_a_share_of_one(core: Any, isa: str) -> None:
    seeds, indices = np.full(50, 9), np.arange(50)
    whole = drawn(core, isa, seeds, indices, 31)
    assert whole.tobytes() == drawn(core, isa, seeds, indices, 31, np.ones(50)).tobytes()


def test_rows_have_seeds_indices_and_shares_of_their_own(core: Any, isa: str) -> None:
    rng = np.random.default_rng(0)
    seeds, indices = rng.integers(2**63 - 1, size=9), rng.integers(2**32, size=9)
    mass = rng.random(9).astype(np.float32)
    whole = drawn(core, isa, seeds, indices, 21, mass, threads=3)
    for row in range(9):
        one = slice(row, row + 1)
        assert (whole[one] == drawn(core, isa, seeds[one], indices[one], 21, mass[one])).all()
        shorter = drawn(core, isa, seeds[one], indices[one], 8, mass[one])
        assert (whole[one, :8] == shorter).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": np.array([-1])}, "seeds must be in"),
        ({"seeds": np.array([1.0])}, "seeds must be int64"),
        ({"indices": np.array([2**32])}, "indices must be in"),
        ({"indices": np.array([1, 2])}, r"indices must be int64 \(1,\)"),
        ({"mass": np.array([1.0])}, "mass must be float32"),
        ({"out": np.zeros(3, np.float32)}, "out must be float32"),
    ],
)
def test_refusals(core: Any, change: Any, message: str) -> None:
    given = {"seeds": np.array([1]), "indices": np.array([1]), "mass": None}
    given |= {"out": np.zeros((1, 3), np.float32), "threads": 1} | change
    with pytest.raises(ValueError, match=message):
        core.normals(**given)
