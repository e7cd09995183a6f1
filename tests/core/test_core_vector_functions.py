"""exp, log, tanh and sigmoid against float64, within the bounds of csrc/cpu/vector_math.h."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

# Name: the function in float64, the domain of the bound, the bound in units in the last place.
FUNCTIONS = {
    "exp": (np.exp, (-87.3, 88.0), 1.5),
    "log": (np.log, (1.2e-38, 3.4e38), 2.0),
    "tanh": (np.tanh, (-100.0, 100.0), 3.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (-87.0, 200.0), 3.0),
}


def apply(core: Any, isa: str, name: str, x: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.full_like(x, np.nan)
    core.vector_function(name, isa, x, out)
    return out


def domain(name: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Evenly over the domain, evenly over its exponents, and near 0 or 1."""
    low, high = FUNCTIONS[name][1]
    magnitudes = np.exp(rng.uniform(np.log(1.2e-38), np.log(high), 200_000))
    parts = [rng.uniform(low, high, 200_000), magnitudes, rng.uniform(-1, 1, 100_000) ** 3]
    parts += [-magnitudes, 1 + rng.uniform(-0.5, 0.5, 100_000), np.array([low, high])]
    x = np.concatenate(parts).astype(np.float32)
    return x[(x >= np.float32(low)) & (x <= np.float32(high))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_stated_bound(core: Any, isa: str, name: str, rng: np.random.Generator) -> None:
    function, _, bound = FUNCTIONS[name]
    x = domain(name, rng)
    exact = function(x.astype(np.float64))
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    error = np.abs(apply(core, isa, name, x) - exact) / spacing
    assert error.max() <= bound, f"{error.max():.2f} ulp at {x[error.argmax()]!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 15, 17, 129])
def test_tails_equal_whole_vectors(core: Any, isa: str, name: str, n: int) -> None:
    """Any length gives what each element gives in the middle of a long array, to the bit."""
    x = np.linspace(0.1, 3, 129, dtype=np.float32)
    whole = apply(core, isa, name, np.concatenate([x, x, x]))
    assert np.array_equal(apply(core, isa, name, x[:n]), whole[129 : 129 + n])


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", -np.inf, 0.0),
        ("exp", -88.0, 0.0),
        ("exp", 0.0, 1.0),
        ("tanh", np.inf, 1.0),
        ("tanh", -np.inf, -1.0),
        ("tanh", 0.0, 0.0),
        ("sigmoid", np.inf, 1.0),
        ("sigmoid", 0.0, 0.5),
        ("log", 1.0, 0.0),
    ],
)
def test_exact_values(core: Any, isa: str, name: str, x: float, expected: float) -> None:
    assert apply(core, isa, name, np.array([x], np.float32))[0] == np.float32(expected)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_nan(core: Any, isa: str, name: str) -> None:
    x = np.array([1, np.nan, 2], np.float32)
    assert np.isnan(apply(core, isa, name, x)).tolist() == [False, True, False]


def test_beyond_the_domain_is_clamped(core: Any, isa: str) -> None:
    at_bound = apply(core, isa, "exp", np.array([88, 89, np.inf], np.float32))
    assert at_bound[0] == at_bound[1] == at_bound[2]
    at_bound = apply(core, isa, "sigmoid", np.array([-87, -88, -np.inf], np.float32))
    assert 0 < at_bound[0] == at_bound[1] == at_bound[2]


@pytest.mark.parametrize(("name", "isa_name"), [("cosh", None), ("exp", "v9")])
def test_unknown_names(core: Any, name: str, isa_name: str | None) -> None:
    x = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=isa_name or name):
        core.vector_function(name, isa_name or core.default_isa(), x, x.copy())
