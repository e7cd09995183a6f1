"""Latents in a graph are the library's normals, truncated and at any temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from genfast.exporting import words
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.exporting.one_pass_latents import latents
from genfast.random import normals, normals_reference, uniforms

COLUMNS = {"seed": INT64, "index": INT64, "temperature": FLOAT, "truncation": FLOAT}


def fed(n: int, truncation: Any) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    return {
        "seed": rng.integers(0, 2**63, n),
        "index": rng.integers(0, 2**32, n),
        "temperature": np.resize(np.float32([1, 0.5, 0, 3]), n),
        "truncation": np.resize(np.float32(truncation), n),
    }


@pytest.fixture
def run(opened: Any) -> Any:
    """latents(width, columns) by the graph."""

    def by_graph(width: int, columns: dict[str, Any]) -> Any:
        nodes = Nodes()
        inputs = [value_info(nodes.fresh(k), kind, ["batch", 1]) for k, kind in COLUMNS.items()]
        z = latents(nodes, width)
        model = nodes.model("latents", inputs, [value_info(z, FLOAT, ["batch", width])], "")
        return opened(model)(**{name: value[:, None] for name, value in columns.items()})[0]

    return by_graph


def test_pairs_are_the_library_s_uniforms_to_the_bit(opened: Any) -> None:
    nodes = Nodes()
    inputs = [value_info(nodes.fresh(name), INT64, ["batch", 1]) for name in ("seed", "index")]
    batch = nodes.add("Shape", "seed", start=0, end=1)
    pair = words.pairs(nodes, "seed", "index", 7, batch)
    outputs = [value_info(name, FLOAT, ["batch", 7]) for name in pair]
    graph = opened(nodes.model("pairs", inputs, outputs, ""))
    for n in (1, 2, 33):
        columns = fed(n, 1)
        found = graph(**{name: columns[name][:, None] for name in ("seed", "index")})
        seed, index = (torch.from_numpy(columns[name]) for name in ("seed", "index"))
        wanted = uniforms(seed, n, 14, index=index).numpy()
        np.testing.assert_array_equal(np.stack(found, 2).reshape(n, 14), wanted)


@pytest.mark.parametrize("width", [1, 2, 33])
@pytest.mark.parametrize("truncation", [np.inf, 1e-4, 0.02, 0.9, 1.1, 2, 5, [np.inf, 0.5, 3]])
def test_equal_the_library_s(run: Any, width: int, truncation: Any) -> None:
    for n in (1, 500):
        columns = fed(n, truncation)
        seed, index, temperature, radius = (torch.from_numpy(v) for v in columns.values())
        wanted = normals(seed, n, width, index=index, truncation=radius) * temperature[:, None]
        found = run(width, columns)
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-6, atol=2e-6)


def test_edges_of_the_generator(run: Any) -> None:
    """Of seed 0 these samples have the uniforms 0 and 1 - 2**-24: radii 0, and the largest."""
    columns = fed(2, np.inf) | {
        "seed": np.zeros(2, np.int64),
        "temperature": np.ones(2, np.float32),
    }
    columns["index"] = np.array([3409490, 3154904])
    found = run(4, columns)
    assert found[0, 2:].tolist() == [0, 0]
    assert np.hypot(*found[1, :2]) == pytest.approx(np.sqrt(48 * np.log(2)), rel=1e-6)


@pytest.mark.parametrize("truncation", [1e-4, 0.02, 0.9, 1.1, 3, 5])
def test_radii_are_exact(run: Any, truncation: float) -> None:
    """Against float64: 1 - exp(-t^2 / 2) of a small t, written so, would have no digit left."""
    n = 3000
    columns = fed(n, truncation) | {"temperature": np.ones(n, np.float32)}
    seed, index = (torch.from_numpy(columns[name]) for name in ("seed", "index"))
    pairs = uniforms(seed, n, 8, index=index).double()
    radius = torch.from_numpy(columns["truncation"]).double()
    mass = (-torch.expm1(-radius.square() / 2)).float().double()
    wanted = normals_reference(pairs, mass[:, None]).numpy()
    found = run(8, columns)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-7 * truncation)
    assert np.hypot(found[:, 0::2], found[:, 1::2]).max() <= truncation * (1 + 1e-6)
