"""Threefry in a graph gives the library's uniforms, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from genfast.exporting import words
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.random import uniforms

NAMES = ("seed", "index", "first")


@pytest.fixture
def run(opened: Any) -> Any:
    """uniforms(seed, index, first, sites) by the graph."""
    nodes = Nodes()
    inputs = [value_info(nodes.fresh(name), INT64, ["batch", 1]) for name in NAMES]
    inputs += [value_info(nodes.fresh("sites"), INT64, [1])]
    batch = nodes.add("Shape", "seed", start=0, end=1)
    drawn = words.uniforms(nodes, *NAMES, "sites", batch)
    model = nodes.model("uniforms", inputs, [value_info(drawn, FLOAT, ["sites", "batch"])], "")
    graph = opened(model)

    def by_graph(seed: Any, index: Any, first: Any, sites: int) -> Any:
        named = dict(zip(NAMES, (seed, index, first), strict=True))
        fed = {name: np.asarray(value, np.int64)[:, None] for name, value in named.items()}
        return graph(**fed, sites=np.array([sites]))[0].T

    return by_graph


def test_equals_the_library_to_the_bit(run: Any) -> None:
    rng = np.random.default_rng()
    seed = np.concatenate([[0, 1, 2**63 - 1, 2**32, 2**32 - 1], rng.integers(0, 2**63, 59)])
    index = np.concatenate([[2**32 - 1, 0, 1, 2**31], rng.integers(0, 2**32, 60)])
    first = np.concatenate([[0, 1, 2, 3, 2**32 + 1], rng.integers(0, 2**32, 59)])
    rows = {"index": torch.from_numpy(index), "first": torch.from_numpy(first)}
    for sites in (1, 2, 3, 77):
        expected = uniforms(torch.from_numpy(seed), len(seed), sites, **rows)
        np.testing.assert_array_equal(run(seed, index, first, sites), expected.numpy())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_batches_of_any_size(run: Any, n: int) -> None:
    assert run(np.zeros(n), np.arange(n), np.zeros(n), 5).shape == (n, 5)


def test_known_edges(run: Any) -> None:
    index = [600802, 3409490, 253230, 3154904]
    drawn = run([0] * 4, index, [0] * 4, 6)
    assert (drawn[0, 1], drawn[1, 2], drawn[2, 5]) == (0, 0, 0)
    assert drawn[3, 0] == 1 - 2.0**-24
