"""The logistic mixture in the compiled core, against loops in float64 and against its own density.

Parameters of a pixel are a bias plus a table of the levels before it, so every site has others.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

LARGEST = np.float32(1 - 2.0**-24)
# Levels, components, channels.
SIZES = [(2, 1, 1), (4, 5, 2), (256, 10, 3), (17, 17, 4), (5, 33, 1), (3, 2, 16)]


def parameters_of(components: int, channels: int) -> int:
    return components * (1 + 2 * channels + channels * (channels - 1) // 2)


class Mixture:
    """A program that draws pixels, its weights, and what it must draw."""

    def __init__(
        self,
        core: Any,
        size: tuple[int, int, int],
        seed: int,
        *,
        shape: tuple[int, int] | None = None,
        location: float = 0.0,
        log_scale: float = -2.0,
    ) -> None:
        self.core, self.shape = core, shape
        self.levels, self.components, self.channels = self.size = size
        rng = np.random.default_rng(seed)
        k, c = self.components, self.channels
        self.width = parameters_of(k, c)
        self.bias = rng.standard_normal(self.width).astype(np.float32)
        self.bias[k : k + k * c] += location
        self.bias[k + k * c : k + 2 * k * c] += log_scale
        self.tables = [
            (0.3 * rng.standard_normal((self.levels + 1, self.width))).astype(np.float32)
            for _ in range(c)
        ]

    def program(self) -> Any:
        rows, columns = self.shape or (1, 0)
        program = self.core.Program("raster" if self.shape else "sequence", rows, columns)
        targets = [program.buffer(f"x{c}", 1, "sym", self.levels) for c in range(self.channels)]
        scores = program.buffer("scores", self.width, "f32", 0)
        terms = [("look", t, (x, 0, -1)) for t, x in zip(self.tables, targets, strict=True)]
        program.sum("site", [scores], "none", self.bias, terms, [])
        program.draw("site", targets, "logistic_mixture", (scores, 0, 0))
        program.finish()
        return program

    def scores(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, sites, P) of each site given the pixel before it."""
        border = np.full((len(values), 1, self.channels), self.levels)
        before = np.concatenate([border, values[:, :-1]], 1)
        if self.shape:
            before[:, :: self.shape[1]] = self.levels
        looks = [t.astype(np.float64)[before[..., c]] for c, t in enumerate(self.tables)]
        return self.bias.astype(np.float64) + sum(looks)

    def split(self, scores: NDArray[np.float64]) -> tuple[Any, ...]:
        """Logits (..., K), and means, scales, couplings (..., i, K), by the order documented."""
        k, c = self.components, self.channels
        grouped = scores.reshape(*scores.shape[:-1], -1, k)
        logits, means, scales = grouped[..., 0, :], grouped[..., 1 : 1 + c, :], None
        scales = np.exp(np.clip(grouped[..., 1 + c : 1 + 2 * c, :], -7, 20))
        return logits, means, scales, np.tanh(grouped[..., 1 + 2 * c :, :])

    def edges(self, scores: Any, values: Any) -> tuple[Any, Any, Any, Any]:
        """Logits, then ends of each level's bin around its mean over the scale, and the scales."""
        logits, means, scales, couplings = self.split(scores)
        reals = 2 * values / (self.levels - 1) - 1
        at, lows, highs = 0, [], []
        for c in range(self.channels):
            mean = means[..., c, :]
            for j in range(c):
                mean = mean + couplings[..., at, :] * reals[..., j, None]
                at += 1
            low = reals[..., c, None] - 1 / (self.levels - 1) - mean
            high = low + 2 / (self.levels - 1)
            lows.append(np.where(values[..., c, None] == 0, -np.inf, low))
            highs.append(np.where(values[..., c, None] == self.levels - 1, np.inf, high))
        return logits, np.stack(lows, -2), np.stack(highs, -2), scales

    def log_prob(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """(N, sites), where no probability underflows."""
        logits, low, high, scales = self.edges(self.scores(values), values)
        joint = np.exp(logits) * (cdf(high / scales) - cdf(low / scales)).prod(-2)
        return np.log(joint.sum(-1)) - np.log(np.exp(logits).sum(-1))

    def right(self, values: Any, uniforms: Any, temperature: float = 1.0) -> NDArray[np.bool_]:
        """(N, sites): whether in a component that the first uniform may choose each other uniform
        lies in the interval of its level, but for rounding."""
        logits, low, high, scales = self.edges(self.scores(values), values)
        u, eps = uniforms.astype(np.float64), 2e-6
        slack = 1e-6
        v = 1 - u[..., 1:, None]
        if temperature == 0:
            possible = logits >= logits.max(-1, keepdims=True) - eps
            inside = (low <= slack) & (high >= -slack)
        else:
            weights = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
            ends = weights.cumsum(-1) / weights.sum(-1, keepdims=True)
            starts = ends - weights / weights.sum(-1, keepdims=True)
            possible = (starts - eps <= u[..., :1]) & (u[..., :1] <= ends + eps)
            scales = scales * temperature
            inside = cdf((low - slack) / scales) - eps <= v
            inside &= v <= cdf((high + slack) / scales) + eps
        return (possible & inside.all(-2)).any(-1)


def cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1 + np.tanh(x / 2))


class Pixels:
    """A session over a mixture, with arrays of its own bound to it."""

    def __init__(self, mixture: Mixture, uniforms: NDArray[np.float32], isa: str = "") -> None:
        n, sites, _ = uniforms.shape
        self.uniforms = np.ascontiguousarray(uniforms)
        self.values = np.full((n, sites, mixture.channels), -9, np.int64)
        self.forced = np.full_like(self.values, -1)
        self.scores = np.full((n, sites, 1, mixture.width), np.nan, np.float32)
        self.log_probs = np.full((n, sites, 1), np.nan, np.float32)
        core = mixture.core
        self.session = core.Session(core.Executor(mixture.program(), isa), n)
        self.session.bind(self.uniforms, self.values, self.forced, self.scores, self.log_probs)

    def options(self, temperature: float, top_k: int = 0, top_p: float = 1.0) -> Pixels:
        dtypes = (temperature, np.float32), (top_k, np.int64), (top_p, np.float32)
        self.session.options(*(np.full(len(self.values), x, dtype) for x, dtype in dtypes))
        return self

    def advance(self, threads: int = 1) -> Pixels:
        sites = self.values.shape[1]
        assert self.session.advance(0, sites, threads) == sites
        return self


def lattice(rng: np.random.Generator, n: int, sites: int, channels: int) -> NDArray[np.float32]:
    u = (rng.integers(2**24, size=(n, sites, 1 + channels)) * 2.0**-24).astype(np.float32)
    u[0, ::5], u[0, 1::5] = 0, LARGEST
    return u


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0, 2.5])
def test_draw(core: Any, isa: str, rng: Any, size: Any, temperature: float) -> None:
    mixture = Mixture(core, size, seed=1)
    u = lattice(rng, 19, 40, mixture.channels)
    pixels = Pixels(mixture, u, isa).options(temperature).advance()
    exact = mixture.scores(pixels.values)
    assert np.abs(pixels.scores[:, :, 0] - exact).max() < 2e-5 * np.abs(exact).max()
    assert mixture.right(pixels.values, u, temperature).all()
    # The check has power: another level, or the uniforms the other way round, are not right.
    other = (pixels.values + 1) % mixture.levels
    wrong = ~mixture.right(other, u, temperature)
    assert wrong.mean() > 0.4
    if temperature > 0 and mixture.levels > 5:
        mirrored = Pixels(mixture, 1 - 2.0**-24 - u, isa).options(temperature).advance()
        assert (~mixture.right(mirrored.values, u, temperature)).mean() > 0.3


@pytest.mark.parametrize(
    "place", [{"log_scale": -30.0}, {"location": 50.0}, {"location": -3.0, "log_scale": 30.0}]
)
def test_draw_at_floor_ceiling_and_outside(core: Any, isa: str, rng: Any, place: Any) -> None:
    mixture = Mixture(core, (256, 3, 3), seed=2, **place)
    u = lattice(rng, 7, 60, 3)
    pixels = Pixels(mixture, u, isa).advance()
    assert mixture.right(pixels.values, u).all()
    assert np.isfinite(pixels.log_probs).all()


def test_cold_draw_takes_the_first_best_and_rounds_half_up(core: Any, isa: str, rng: Any) -> None:
    mixture = Mixture(core, (5, 3, 1), seed=3)
    mixture.bias[:] = [1, 2, 2, 0.9, 0.25, -0.9, 9, 9, 9]  # 0.25 is at 2.5 levels
    mixture.tables[0][:] = 0
    pixels = Pixels(mixture, lattice(rng, 3, 10, 1), isa).options(0.0).advance()
    assert (pixels.values == 3).all()


@pytest.mark.parametrize("size", [(2, 1, 1), (4, 5, 2), (256, 10, 3), (17, 17, 4), (5, 33, 1)])
def test_log_prob_of_forced_and_drawn(core: Any, isa: str, rng: Any, size: Any) -> None:
    """At temperature 1 always."""
    mixture = Mixture(core, size, seed=4)
    pixels = Pixels(mixture, lattice(rng, 11, 30, mixture.channels), isa).options(0.7)
    pixels.forced[3:] = rng.integers(mixture.levels, size=pixels.forced[3:].shape)
    pixels.forced[3, ::3], pixels.forced[4, ::2] = -1, 0
    pixels.forced[5, ::2] = mixture.levels - 1
    given = pixels.forced >= 0
    pixels.advance()
    assert np.array_equal(pixels.values[given], pixels.forced[given])
    with np.errstate(divide="ignore"):
        expected = mixture.log_prob(pixels.values)
    close = expected > -20
    assert close.mean() > 0.5
    assert np.abs(pixels.log_probs[:, :, 0] - expected)[close].max() < 1e-4


@pytest.mark.parametrize(
    "place", [{}, {"log_scale": -30.0}, {"log_scale": 30.0}, {"location": 1e4}, {"location": -2.0}]
)
@pytest.mark.parametrize("size", [(256, 10, 1), (6, 3, 2)])
def test_probabilities_sum_to_one(core: Any, isa: str, size: Any, place: Any) -> None:
    mixture = Mixture(core, size, seed=5, **place)
    every = np.array(list(itertools.product(range(mixture.levels), repeat=mixture.channels)))
    pixels = Pixels(mixture, np.zeros((len(every), 1, 1 + mixture.channels), np.float32), isa)
    pixels.forced[:, 0] = every
    pixels.advance()
    assert abs(np.exp(pixels.log_probs.astype(np.float64)).sum() - 1) < 1e-5


def test_forced_pixels_own_their_draws(core: Any, isa: str, rng: Any) -> None:
    mixture = Mixture(core, (16, 4, 3), seed=6)
    u = lattice(rng, 9, 20, 3)
    free = Pixels(mixture, u, isa).advance().values
    again = Pixels(mixture, u, isa)
    again.forced[:, 1::3] = free[:, 1::3]
    again.uniforms[:, 1::3] = 0.5
    assert np.array_equal(again.advance().values, free)


def chi_square(counts: NDArray[np.int64], p: NDArray[np.float64]) -> float:
    """How many standard deviations the statistic lies above its mean; rare cells count as one."""
    expected = p / p.sum() * counts.sum()
    rare = expected < 50
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum() + 1e-9)
    freedom = len(counts) - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float((statistic - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("size", [(4, 3, 2), (16, 5, 1), (6, 2, 3)])
def test_frequencies_are_the_density_s(core: Any, isa: str, rng: Any, size: Any) -> None:
    """A million draws; probabilities that are off by 2%, up and down, are rejected."""
    mixture = Mixture(core, size, seed=7)
    for table in mixture.tables:
        table[:] = 0
    every = np.array(list(itertools.product(range(mixture.levels), repeat=mixture.channels)))
    known = Pixels(mixture, np.zeros((len(every), 1, 1 + mixture.channels), np.float32), isa)
    known.forced[:, 0] = every
    p = np.exp(known.advance().log_probs[:, 0, 0].astype(np.float64))
    u = rng.integers(2**24, size=(1000, 1000, 1 + mixture.channels)) * 2.0**-24
    drawn = Pixels(mixture, u.astype(np.float32), isa).advance().values
    numbers = drawn @ mixture.levels ** np.arange(mixture.channels)[::-1]
    counts = np.bincount(numbers.ravel(), minlength=len(every))
    assert chi_square(counts, p) < 5
    assert chi_square(counts, p * np.where(np.arange(len(p)) % 2, 1.02, 0.98)) > 5


@pytest.mark.parametrize("shape", [None, (5, 7), (1, 1)])
def test_same_bits_with_any_threads_and_batch(core: Any, isa: str, rng: Any, shape: Any) -> None:
    mixture = Mixture(core, (32, 10, 3), seed=8, shape=shape)
    u = lattice(rng, 17, 35 if shape is None else shape[0] * shape[1], 3)
    one = Pixels(mixture, u, isa).options(0.9).advance()
    assert mixture.right(one.values, u, 0.9).all()
    for threads in (2, 3):
        several = Pixels(mixture, u, isa).options(0.9).advance(threads)
        assert np.array_equal(several.values, one.values)
        assert np.array_equal(several.log_probs, one.log_probs)
    for row in (0, 5, 16):
        alone = Pixels(mixture, u[row : row + 1], isa).options(0.9).advance()
        assert np.array_equal(alone.values[0], one.values[row])
        assert np.array_equal(alone.log_probs[0], one.log_probs[row])


def test_instruction_sets_agree(core: Any, rng: Any) -> None:
    mixture = Mixture(core, (256, 10, 3), seed=9)
    for table in mixture.tables:
        table[:] = 0
    u = lattice(rng, 40, 200, 3)
    drawn = [Pixels(mixture, u, isa).advance().values for isa in core.isas()]
    for values in drawn[1:]:
        assert (values == drawn[0]).mean() > 0.999


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_that_split_panels_draw_alike(core: Any, rng: Any, threads: int) -> None:
    """Scores of a large matrix at batch 2: every thread draws every row."""
    levels, components, channels, width = 16, 10, 3, 6000
    program = core.Program("sequence", 1, 0)
    given = program.buffer("given", width, "f32", 0)
    targets = [program.buffer(f"x{c}", 1, "sym", levels) for c in range(channels)]
    p = parameters_of(components, channels)
    scores = program.buffer("scores", p, "f32", 0)
    weight = (rng.standard_normal((p, width)) * width**-0.5).astype(np.float32)
    table = rng.standard_normal((levels + 1, p)).astype(np.float32)
    program.input(given, "start")
    terms = [("mat", weight, (given, 0, 0)), *(("look", table, (x, 0, -1)) for x in targets)]
    program.sum("site", [scores], "none", None, terms, [])
    program.draw("site", targets, "logistic_mixture", (scores, 0, 0))
    program.finish()
    session, u = core.Session(core.Executor(program), 2), lattice(rng, 2, 50, channels)
    features = np.random.default_rng(3).standard_normal((2, width)).astype(np.float32)
    results = []
    for count in (1, threads):
        session = core.Session(core.Executor(program), 2)
        values, log_probs = np.full((2, 50, 3), -9), np.zeros((2, 50, 1), np.float32)
        session.input(given, features)
        session.bind(u, values, None, None, log_probs)
        session.advance(0, 50, count)
        results.append((values, log_probs))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    assert len(np.unique(results[0][0])) > 8


@pytest.mark.parametrize("place", [0, 3, 7, 16, 26])
@pytest.mark.parametrize(
    ("signs", "what"), [((1, 0), "infinite"), ((-1, 0), "infinite"), ((1, -1), "NaN")]
)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_bad_parameters_name_row_and_site(
    core: Any, isa: str, place: int, signs: Any, what: str, temperature: float
) -> None:
    """Any parameter, of any component: here it overflows behind level 5."""
    program = core.Program("sequence", 1, 0)
    x = [program.buffer(f"x{c}", 1, "sym", 8) for c in range(2)]
    huge = program.buffer("huge", 1, "f32", 0)
    table = np.zeros((9, 1), np.float32)
    table[5] = 3e38
    program.sum("site", [huge], "none", None, [("look", table, (x[0], 0, -1))], [])
    parts = []
    for name, sign in zip("ab", signs, strict=True):
        weight = np.zeros((30, 1), np.float32)
        weight[place] = 1e10 * sign
        parts.append(program.buffer(name, 30, "f32", 0))
        program.sum("site", [parts[-1]], "none", None, [("mat", weight, (huge, 0, 0))], [])
    scores = program.buffer("scores", 30, "f32", 0)
    terms = [("add", None, (part, 0, 0)) for part in parts]
    program.sum("site", [scores], "none", None, terms, [])
    program.draw("site", x, "logistic_mixture", (scores, 0, 0))
    program.finish()
    session = core.Session(core.Executor(program, isa), 11)
    forced = np.full((11, 9, 2), -1)
    forced[:, :, 0] = forced[:, :, 1] = 2
    forced[7, 3] = 5
    forced[7, 4] = -1
    session.options(
        np.full(11, temperature, np.float32), np.zeros(11, np.int64), np.ones(11, np.float32)
    )
    session.bind(np.zeros((11, 9, 3), np.float32), np.zeros((11, 9, 2), np.int64), forced)
    with pytest.raises(FloatingPointError, match=f"scores of row 7 at site 4 are {what}"):
        session.advance(0, 9, 1)


@pytest.mark.parametrize(
    ("pixel", "message"),
    [
        ([3, -1, 3], "all 3 values of a draw or none, got -1 beside 3 in row 4 at site 2"),
        ([-1, -1, 0], "all 3 values of a draw or none, got 0 beside -1 in row 4 at site 2"),
        ([3, 8, 3], r"in \[0, 8\), or -1 to draw, got 8 in row 4 at site 2"),
    ],
)
def test_forced_in_part(core: Any, pixel: Any, message: str) -> None:
    pixels = Pixels(Mixture(core, (8, 2, 3), seed=10), np.zeros((5, 4, 4), np.float32))
    pixels.forced[4, 2] = pixel
    with pytest.raises(ValueError, match="forced must .*" + message):
        pixels.advance()


@pytest.mark.parametrize(("top_k", "top_p"), [(3, 1.0), (0, 0.5)])
def test_top_k_and_top_p_are_refused(core: Any, top_k: int, top_p: float) -> None:
    pixels = Pixels(Mixture(core, (8, 2, 3), seed=10), np.zeros((5, 4, 4), np.float32))
    with pytest.raises(ValueError, match="top_k and top_p must be off for a mixture"):
        pixels.options(1.0, top_k, top_p)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("uniforms", (5, 4, 3)),
        ("values", (5, 4, 4)),
        ("forced", (5, 4, 1)),
        ("scores", (5, 4, 3, 16)),
        ("log_probs", (5, 4, 3)),
    ],
)
def test_bound_arrays_of_a_wrong_shape(core: Any, name: str, shape: Any) -> None:
    mixture = Mixture(core, (8, 2, 3), seed=10)
    arrays = {
        "uniforms": np.zeros((5, 4, 4), np.float32),
        "values": np.zeros((5, 4, 3), np.int64),
        "forced": np.zeros((5, 4, 3), np.int64),
        "scores": np.zeros((5, 4, mixture.width), np.float32),
        "log_probs": np.zeros((5, 4, 1), np.float32),
    }
    session = core.Session(core.Executor(mixture.program()), 5)
    session.bind(**arrays)
    arrays[name] = np.zeros(shape, arrays[name].dtype)
    with pytest.raises(ValueError, match=f"^{name} must be"):
        session.bind(**arrays)


@pytest.mark.parametrize(
    ("vocabularies", "width", "message"),
    [
        ((8, 8, 8), 21, r"must be K \* 10 wide: K logits, .* got 21"),
        ((8, 7, 8), 20, "must have one vocabulary, at least 2, got 7 beside 8"),
        ((1, 1, 1), 20, "at least 2, got 1"),
        ((8,) * 17, 340, "at most 16 symbols, got 17"),
    ],
)
def test_programs_that_do_not_fit(core: Any, vocabularies: Any, width: int, message: str) -> None:
    program = core.Program("sequence", 1, 0)
    targets = [program.buffer(f"x{c}", 1, "sym", v) for c, v in enumerate(vocabularies)]
    scores = program.buffer("scores", width, "f32", 0)
    program.sum("site", [scores], "none", np.zeros(width, np.float32), [], [])
    with pytest.raises(ValueError, match="instruction 1: .*" + message):
        program.draw("site", targets, "logistic_mixture", (scores, 0, 0))


def test_categorical_draws_one_symbol(core: Any) -> None:
    program = core.Program("sequence", 1, 0)
    targets = [program.buffer(name, 1, "sym", 3) for name in "xy"]
    scores = program.buffer("scores", 3, "f32", 0)
    program.sum("site", [scores], "none", np.zeros(3, np.float32), [], [])
    with pytest.raises(ValueError, match="a categorical draw writes 1 symbol, got 2"):
        program.draw("site", targets, "categorical", (scores, 0, 0))
    with pytest.raises(ValueError, match="a draw writes a symbol"):
        program.draw("site", [], "categorical", (scores, 0, 0))
