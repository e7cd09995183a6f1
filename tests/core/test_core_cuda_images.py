"""Images on simulated GPUs: rows in flight, odd shapes, conditions, and the mixture head."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from raster_programs import Image
from simulated import Drawn, Given, Options, arrays, draw, uniforms_of

MACHINES = {
    "block": {"cluster": 1, "blocks": 1, "shared_bytes": 232_448},
    "cluster": {"cluster": 4, "blocks": 4, "shared_bytes": 20_000},
    "small chips": {"cluster": 8, "blocks": 8, "shared_bytes": 9_000},
    "grid": {"cluster": 1, "blocks": 3, "shared_bytes": 14_000},
}
# By default odd shapes at one width, and every width at one shape.
SHAPES = [((9, 7), 17), ((9, 7), 1), ((1, 1), 5), ((1, 7), 5), ((5, 1), 5)]
MORE = [(shape, width) for shape, _ in SHAPES[1:] for width in (1, 5, 17)]
NETS = {
    "masked": {},
    "far taps": {"reach": 3},
    "vertical": {"vertical": 3, "channels": 2},
    "features": {"vertical": 1, "features": 3},
}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> dict[str, int]:
    return MACHINES[request.param]


def features_of(net: Image, n: int) -> Any:
    sites = net.shape[0] * net.shape[1]
    rng = np.random.default_rng(2)
    return rng.normal(size=(8, sites, net.features)).astype(np.float32)[:n]


def drawn(net: Image, n: int, session: Any, *threads: int, given: Given) -> Drawn:
    sites = net.shape[0] * net.shape[1]
    if net.features:
        given = given._replace(by_site={net.input: features_of(net, n)})
    out = arrays(n, sites, net.channels, net.channels, net.levels)
    return draw(session, uniforms_of(n, sites, net.channels), out, given, *threads)


def cpu(core: ModuleType, net: Image, n: int, **given: Any) -> Drawn:
    program = net.program()
    session = core.Session(core.Executor(program), n)
    return drawn(net, n, session, 1, given=Given(**given))


def gpu(core: ModuleType, net: Image, n: int, machine: Any, **given: Any) -> Drawn:
    program = net.program()
    session = core.CudaSession(core.SimulatedExecutor(program, **machine), n)
    return drawn(net, n, session, given=Given(**given))


@pytest.mark.parametrize(
    ("shape", "width"),
    [*SHAPES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)],
    ids=str,
)
@pytest.mark.parametrize("kind", NETS)
def test_draws_what_the_cpu_draws(
    core: ModuleType, shape: tuple[int, int], width: int, kind: str, machine: Any
) -> None:
    net = Image(core, shape, width, **NETS[kind])
    expected, got = cpu(core, net, 3), gpu(core, net, 3, machine)
    assert np.array_equal(got.values, expected.values)
    assert np.abs(got.scores - expected.scores).max() < 2e-5 * np.abs(expected.scores).max()
    assert np.abs(got.log_probs - expected.log_probs).max() < 2e-5


@pytest.mark.parametrize("kind", NETS)
def test_scores_in_bfloat16_follow_their_own_draws(
    core: ModuleType, kind: str, machine: Any
) -> None:
    """Led through what was drawn, float64 gives nearly the same scores."""
    net = Image(core, (5, 6), 9, **NETS[kind])
    got = gpu(core, net, 3, machine | {"precision": "bfloat16"})
    exact = net.scores(got.values, features_of(net, 3) if net.features else None)
    assert np.abs(got.scores - exact).max() < 2e-2 * np.abs(exact).max()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bits_do_not_depend_on_the_batch(core: ModuleType, machine: Any, precision: str) -> None:
    net = Image(core, (6, 5), 7, vertical=2)
    how = machine | {"precision": precision}
    whole = gpu(core, net, 7, how | {"seed": 1})
    for n in (1, 4):
        part = gpu(core, net, n, how | {"seed": n})
        assert part.equals(Drawn(*(array[:n] for array in whole)))


def test_given_levels_are_taken(core: ModuleType, machine: Any) -> None:
    net = Image(core, (6, 5), 7, channels=2)
    forced = np.random.default_rng(1).integers(-1, net.levels, (3, 30, 2))
    expected, got = cpu(core, net, 3, forced=forced), gpu(core, net, 3, machine, forced=forced)
    assert np.array_equal(got.values, expected.values)
    assert np.array_equal(got.values[forced >= 0], forced[forced >= 0])


def test_options_bend_the_draw(core: ModuleType, machine: Any) -> None:
    net = Image(core, (6, 5), 7)
    options = Options(np.float32([0, 0.5, 2]), np.int64([0, 2, 0]), np.float32([1, 1, 0.6]))
    expected = cpu(core, net, 3, options=options)
    assert np.array_equal(gpu(core, net, 3, machine, options=options).values, expected.values)


@pytest.mark.parametrize("kind", NETS)
def test_rows_in_flight_are_as_far_apart_as_they_must_be(core: ModuleType, kind: str) -> None:
    net = Image(core, (20, 24), 5, **NETS[kind])
    plan = core.SimulatedExecutor(net.program(), cluster=1, blocks=1).plan(1)
    # A tap at (-1, reach) is a tick behind; each vertical layer but the first looks one further.
    assert plan["skew"] == {"masked": 2, "far taps": 4, "vertical": 4, "features": 2}[kind]
    assert plan["lanes"] > 24 // plan["skew"] - 1


def test_small_chips_draw_fewer_rows_at_once(core: ModuleType) -> None:
    net = Image(core, (20, 24), 5)
    lanes = [
        core.SimulatedExecutor(net.program(), cluster=1, blocks=1, shared_bytes=size).plan(1)
        for size in (232_448, 6_000)
    ]
    assert lanes[0]["lanes"] > lanes[1]["lanes"] >= 1


def test_an_image_is_drawn_at_once(core: ModuleType, machine: Any) -> None:
    net = Image(core, (3, 4), 5)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 2)
    session.bind(uniforms_of(2, 12, 1), np.zeros((2, 12, 1), np.int64))
    with pytest.raises(ValueError, match="draws the 12 sites of an image at once, got 5"):
        session.advance(0, 5)
    assert session.advance(0, 12) == 12
    with pytest.raises(ValueError, match="lockstep"):
        session.reset(np.int64([0]))


def test_inputs_must_be_given(core: ModuleType, machine: Any) -> None:
    net = Image(core, (3, 4), 5, features=3, vertical=1)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 2)
    session.bind(uniforms_of(2, 12, 1), np.zeros((2, 12, 1), np.int64))
    with pytest.raises(ValueError, match="give the input features first"):
        session.advance(0, 12)


def test_bound_anew_inputs_are_forgotten(core: ModuleType, machine: Any) -> None:
    """Their memory may be gone."""
    net = Image(core, (3, 4), 5, features=3, vertical=1)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 2)
    values = np.zeros((2, 12, 1), np.int64)
    session.bind(uniforms_of(2, 12, 1), values, inputs={net.input: features_of(net, 2)})
    session.bind(uniforms_of(2, 12, 1), values)
    with pytest.raises(ValueError, match="give the input features first"):
        session.advance(0, 12)


def test_inputs_of_whole_vectors_are_aligned(core: ModuleType, machine: Any) -> None:
    """A GPU that reads four floats from anywhere else is lost to the process."""
    net = Image(core, (3, 4), 5, features=4, vertical=1)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 2)
    features = features_of(net, 2)
    room = np.zeros(features.size + 4, np.float32)
    begin = 1 if room.ctypes.data % 16 == 0 else 0
    moved = room[begin : begin + features.size].reshape(features.shape)
    values = np.zeros((2, 12, 1), np.int64)
    with pytest.raises(ValueError, match="features must begin at a multiple of 16 bytes"):
        session.bind(uniforms_of(2, 12, 1), values, inputs={net.input: moved})


def mixture(core: ModuleType, channels: int, components: int, levels: int) -> Any:
    """A program whose scores are tables of the pixels above and to the left."""
    rng = np.random.default_rng(channels)
    width = components * (1 + 2 * channels + channels * (channels - 1) // 2)
    program = core.Program("raster", 4, 5)
    symbols = [program.buffer(f"x{c}", 1, "sym", levels) for c in range(channels)]
    scores = program.buffer("scores", width, "f32", 0)

    def table() -> Any:
        return rng.normal(size=(levels + 1, width)).astype(np.float32)

    terms = [("look", table(), (x, *at)) for x in symbols for at in ((-1, 1), (0, -1))]
    program.sum("site", [scores], "none", rng.normal(size=width).astype(np.float32), terms, [])
    program.draw("site", symbols, "logistic_mixture", (scores, 0, 0))
    program.finish()
    return program, width


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("temperature", [1.0, 0.0, 0.6])
def test_mixtures(core: ModuleType, machine: Any, channels: int, temperature: float) -> None:
    program, width = mixture(core, channels, 5, 32)
    uniforms = uniforms_of(3, 20, 1 + channels)
    forced = np.full((3, 20, channels), -1)
    forced[1, 7] = 11
    given = Given(forced=forced, options=Options(temperature=temperature))
    both = []
    for session, threads in (
        (core.Session(core.Executor(program), 3), (1,)),
        (core.CudaSession(core.SimulatedExecutor(program, **machine), 3), ()),
    ):
        both.append(draw(session, uniforms, arrays(3, 20, 1, channels, width), given, *threads))
    expected, got = both
    assert np.array_equal(got.values, expected.values)
    assert np.abs(got.scores - expected.scores).max() < 1e-5
    assert np.abs(got.log_probs - expected.log_probs).max() < 1e-3


def test_mixtures_refuse_top_k(core: ModuleType) -> None:
    program, _ = mixture(core, 1, 5, 32)
    session = core.CudaSession(core.SimulatedExecutor(program, blocks=1), 1)
    with pytest.raises(ValueError, match="top_k and top_p must be off for a mixture"):
        session.options(np.float32([1]), np.int64([3]), np.float32([1]))
