"""The categorical draw to the letter of its contract, on scores that a test chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

LARGEST = np.float32(1 - 2.0**-24)
# Weights on (3e38, 3e38) that give what no finite weight can hold.
MINUS_INFINITY, INFINITY, NOT_A_NUMBER = (-1e10, 0), (1e10, 0), (1e10, -1e10)


def program(
    core: Any, bias: NDArray[np.float32], special: dict[int, Any], after: int | None
) -> Any:
    """Scores `bias` at every site, `special` for some classes (after symbol `after` alone)."""
    classes = len(bias)
    table = np.full((classes + 1, 2), 3e38 if after is None else 0, np.float32)
    if after is not None:
        table[after] = 3e38
    weights = np.zeros((classes, 2), np.float32)
    for symbol, pair in special.items():
        weights[symbol] = pair
    built = core.Program("sequence", 1, 0)
    x = built.buffer("x", 1, "sym", classes)
    huge = built.buffer("huge", 2, "f32", 0)
    scores = built.buffer("scores", classes, "f32", 0)
    built.sum("site", [huge], "none", None, [("look", table, (x, 0, -1))], [])
    built.sum("site", [scores], "none", bias, [("mat", weights, (huge, 0, 0))], [])
    built.draw("site", [x], "categorical", (scores, 0, 0))
    built.finish()
    return built


class Draws:
    """Draws of n rows and T sites from scores that are the same at each."""

    def __init__(
        self,
        core: Any,
        isa: str,
        bias: Any,
        u: NDArray[np.float32],
        *,
        special: dict[int, Any] | None = None,
        after: int | None = None,
        options: tuple[float, int, float] = (1.0, 0, 1.0),
    ) -> None:
        n = len(u)
        built = program(core, np.asarray(bias, np.float32), special or {}, after)
        self.session = core.Session(core.Executor(built, isa), n)
        dtypes = np.float32, np.int64, np.float32
        self.session.options(*(np.full(n, x, d) for x, d in zip(options, dtypes, strict=True)))
        self.u, self.out = np.ascontiguousarray(u)[:, :, None], np.full((*u.shape, 1), -9, np.int64)
        self.forced = np.full_like(self.out, -1)
        self.log_probs = np.full(self.out.shape, np.nan, np.float32)
        self.session.bind(self.u, self.out, self.forced, None, self.log_probs)

    def draw(self) -> NDArray[np.int64]:
        self.session.advance(0, self.out.shape[1], 1)
        return self.out[:, :, 0]


def kept(scores: Any, top_k: int, top_p: float) -> NDArray[np.bool_]:
    """The keep set: stable descending order, the first k, then the shortest prefix of mass p."""
    order = np.argsort(-scores, kind="stable")
    order = order[: top_k or len(scores)]
    mass = np.exp(scores[order] - scores.max()).cumsum()
    before = np.concatenate([[0], mass[:-1]])
    keep = np.zeros(len(scores), bool)
    keep[order[before < top_p * mass[-1]]] = True
    return keep


def lie_in_interval(drawn: Any, u: Any, scores: Any, temperature: float, keep: Any) -> bool:
    """Whether each uniform lies in its class's interval, widened by the sums' rounding."""
    eps = 2.0**-24 * (len(scores) + 8)
    weights = np.where(keep, np.exp((scores - scores.max()) / temperature), 0)
    edges = np.concatenate([[0], weights.cumsum()]) / weights.sum()
    inside = (edges[drawn] - eps <= u) & (u <= edges[drawn + 1] + eps)
    return bool((inside & keep[drawn]).all())


@pytest.mark.parametrize("classes", [1, 2, 17, 65, 129, 256])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
def test_draw(core: Any, isa: str, rng: Any, classes: int, temperature: float) -> None:
    u = (rng.integers(2**24, size=(17, 200)) * 2.0**-24).astype(np.float32)
    bias = (2 * rng.standard_normal(classes)).astype(np.float32)
    drawn = Draws(core, isa, bias, u, options=(temperature, 0, 1.0)).draw()
    everything = np.ones(classes, bool)
    assert lie_in_interval(drawn, u, bias.astype(np.float64), temperature, everything)


@pytest.mark.parametrize("classes", [2, 17, 65])
@pytest.mark.parametrize(
    ("top_k", "top_p"), [(1, 1.0), (5, 1.0), (0, 0.7), (0, 1e-6), (9, 0.6), (99, 0.95)]
)
def test_keep_set(core: Any, isa: str, rng: Any, classes: int, top_k: int, top_p: float) -> None:
    u = (rng.integers(2**24, size=(9, 300)) * 2.0**-24).astype(np.float32)
    bias = (2 * rng.standard_normal(classes)).astype(np.float32)
    drawn = Draws(core, isa, bias, u, options=(1.0, top_k, top_p)).draw()
    scores = bias.astype(np.float64)
    keep = kept(scores, top_k, top_p)
    assert lie_in_interval(drawn, u, scores, 1.0, keep)


def test_ties_keep_the_lower_index(core: Any, isa: str, rng: Any) -> None:
    u = rng.random((3, 300)).astype(np.float32)
    u[u == 1] = LARGEST
    bias = [0, 1, 0, 1, 0, 1, 0]
    assert set(Draws(core, isa, bias, u, options=(1, 2, 1)).draw().flat) == {1, 3}
    assert set(Draws(core, isa, bias, u, options=(1, 5, 1)).draw().flat) == {0, 1, 2, 3, 5}
    assert set(Draws(core, isa, bias, u, options=(0, 0, 1)).draw().flat) == {1}


@pytest.mark.parametrize("excluded", [{0}, {16}, {3, 4, 5}, {0, 1, 15, 16}, set(range(16))])
@pytest.mark.parametrize(
    "options", [(1.0, 0, 1.0), (0.05, 0, 1.0), (1.0, 16, 0.999), (0.0, 0, 1.0)]
)
def test_excluded_classes_are_never_drawn(
    core: Any, isa: str, rng: Any, excluded: set[int], options: Any
) -> None:
    """Not even at the edges: a uniform of exactly 0, and the largest there is."""
    u = np.array([[0, LARGEST, 2.0**-24, 0.5] * 5] * 3, np.float32)
    special = dict.fromkeys(excluded, MINUS_INFINITY)
    bias = rng.standard_normal(17)
    drawn = Draws(core, isa, bias, u, special=special, options=options).draw()
    assert not set(drawn.flat) & excluded


def test_edges_of_equal_classes(core: Any, isa: str) -> None:
    """Four equal classes: the running sum must be greater than u * total, so 1/4 draws class 1."""
    u = np.array([[0, 0.25 - 2.0**-24, 0.25, 0.5, 0.75, LARGEST]], np.float32)
    assert Draws(core, isa, np.zeros(4), u).draw().tolist() == [[0, 0, 1, 2, 3, 3]]


def test_vanishing_weights_at_the_upper_edge(core: Any, isa: str) -> None:
    """Classes whose weight is 0 in float32 are never the fallback."""
    u = np.array([[LARGEST, 0]], np.float32)
    assert Draws(core, isa, [-200, 0, 0.5, -200], u).draw().tolist() == [[2, 1]]


def test_temperature_zero_owns_its_uniforms(core: Any, isa: str) -> None:
    u = np.array([[0, LARGEST, 0.5]], np.float32)
    assert Draws(core, isa, [1, 3, 2], u, options=(0, 0, 1)).draw().tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("pair", [INFINITY, NOT_A_NUMBER])
@pytest.mark.parametrize("symbol", [0, 8, 16])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_bad_scores_name_row_and_site(
    core: Any, isa: str, pair: Any, symbol: int, temperature: float
) -> None:
    u = np.zeros((11, 9), np.float32)
    draws = Draws(
        core, isa, np.zeros(17), u, special={symbol: pair}, after=5, options=(temperature, 0, 1.0)
    )
    draws.forced[7, 3] = 5
    with pytest.raises(FloatingPointError, match=r"row 7\b.*site 4\b"):
        draws.draw()


def test_nothing_left(core: Any, isa: str) -> None:
    special = dict.fromkeys(range(5), MINUS_INFINITY)
    draws = Draws(core, isa, np.zeros(5), np.zeros((2, 3), np.float32), special=special)
    with pytest.raises(FloatingPointError, match=r"row 0\b.*site 0\b"):
        draws.draw()


def test_a_failed_session_can_be_restored(core: Any, isa: str) -> None:
    draws = Draws(
        core, isa, np.zeros(17), np.zeros((3, 9), np.float32), special={0: INFINITY}, after=5
    )
    state = draws.session.state()
    draws.forced[1, 3] = 5
    with pytest.raises(FloatingPointError):
        draws.draw()
    draws.forced[1, 3] = -1
    draws.session.restore(state)
    assert (draws.draw() == 0).all()


def test_log_prob_of_forced_and_drawn(core: Any, isa: str, rng: Any) -> None:
    bias = rng.standard_normal(17).astype(np.float32)
    draws = Draws(core, isa, bias, np.full((2, 5), 0.3, np.float32), options=(0.3, 2, 0.9))
    draws.forced[1] = 11
    drawn = draws.draw()
    expected = bias - np.log(np.exp(bias.astype(np.float64)).sum())
    assert np.abs(draws.log_probs[:, :, 0] - expected[drawn]).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((-1.0, 0, 1.0), "temperature"),
        ((np.nan, 0, 1.0), "temperature"),
        ((np.inf, 0, 1.0), "temperature"),
        ((1.0, -1, 1.0), "top_k"),
        ((1.0, 0, 0.0), "top_p"),
        ((1.0, 0, 1.5), "top_p"),
        ((1.0, 0, np.nan), "top_p"),
    ],
)
def test_options_out_of_range(core: Any, options: tuple[float, int, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Draws(core, core.default_isa(), np.zeros(3), np.zeros((2, 1), np.float32), options=options)
