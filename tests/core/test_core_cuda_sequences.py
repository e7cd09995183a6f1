"""Recurrent networks on simulated GPUs: draws, options, sessions, and errors with their place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from simulated import Drawn, Given, Options, arrays, draw, uniforms_of

CLASSES, SITES = 37, 9
PLAIN = Given()
MACHINES = {
    "block": {"cluster": 1, "blocks": 1, "shared_bytes": 232_448},
    "cluster": {"cluster": 8, "blocks": 16, "shared_bytes": 16_000},
    "grid": {"cluster": 1, "blocks": 5, "shared_bytes": 24_000},
    "streaming": {"cluster": 1, "blocks": 3, "shared_bytes": 9_000},
}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> dict[str, int]:
    return MACHINES[request.param]


@pytest.fixture(params=["lstm", "gru"])
def net(request: pytest.FixtureRequest, network: Any) -> Any:
    return network(request.param, 19, 2, CLASSES, 5)


def cpu(core: ModuleType, net: Any, n: int, given: Given = PLAIN) -> Drawn:
    session = core.Session(core.Executor(net.program()), n)
    return draw(session, uniforms_of(n, SITES, 1), arrays(n, SITES, 1, 1, CLASSES), given, 1)


def gpu(core: ModuleType, net: Any, n: int, machine: Any, given: Given = PLAIN) -> Drawn:
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), n)
    return draw(session, uniforms_of(n, SITES, 1), arrays(n, SITES, 1, 1, CLASSES), given)


def test_draws_what_the_cpu_draws(core: ModuleType, net: Any, machine: Any) -> None:
    expected, drawn = cpu(core, net, 5), gpu(core, net, 5, machine)
    assert np.array_equal(drawn.values, expected.values)
    assert np.abs(drawn.scores - expected.scores).max() < 2e-5 * np.abs(expected.scores).max()
    assert np.abs(drawn.log_probs - expected.log_probs).max() < 1e-5


def test_scores_are_those_of_float64(core: ModuleType, net: Any, machine: Any) -> None:
    drawn = gpu(core, net, 3, machine)
    exact = net.scores(drawn.values[..., 0])
    assert np.abs(drawn.scores[:, :, 0] - exact).max() < 2e-5 * np.abs(exact).max()


def test_bfloat16_weights_are_those_of_a_rounded_network(
    core: ModuleType, net: Any, machine: Any
) -> None:
    """Weights of products are rounded, tables and biases are not, and sums stay float32."""
    drawn = gpu(core, net, 3, machine | {"precision": "bfloat16"})
    net.layers = [tuple(map(rounded, layer[:2])) + layer[2:] for layer in net.layers]
    net.readout = rounded(net.readout)
    exact = net.scores(drawn.values[..., 0])
    assert np.abs(drawn.scores[:, :, 0] - exact).max() < 1e-4 * np.abs(exact).max()


def rounded(weight: Any) -> Any:
    """To bfloat16, ties to even."""
    bits = weight.view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1) & 0xFFFF0000).astype(np.uint32)).view(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        Options(temperature=0.0),
        Options(temperature=np.float32([0.5, 1.0, 2.0, 0.0, 3.0])),
        Options(top_k=np.int64([1, 3, 0, 37, 50])),
        Options(top_p=np.float32([0.1, 0.5, 0.9, 1.0, 0.7])),
        Options(1.3, 5, 0.8),
    ],
    ids=["greedy", "temperatures", "top-k", "top-p", "all"],
)
def test_options(core: ModuleType, net: Any, machine: Any, options: Options) -> None:
    given = Given(options=options)
    expected, drawn = cpu(core, net, 5, given), gpu(core, net, 5, machine, given)
    assert np.array_equal(drawn.values, expected.values)


def test_forced_symbols_are_taken(core: ModuleType, net: Any, machine: Any) -> None:
    forced = np.random.default_rng(1).integers(-1, CLASSES, (5, SITES, 1))
    given = Given(forced=forced)
    expected, drawn = cpu(core, net, 5, given), gpu(core, net, 5, machine, given)
    assert np.array_equal(drawn.values, expected.values)
    assert np.array_equal(drawn.values[forced >= 0], forced[forced >= 0])
    assert np.abs(drawn.log_probs - expected.log_probs).max() < 1e-5


def test_chunks_are_the_whole(core: ModuleType, net: Any, machine: Any) -> None:
    """What outlives a launch is all that the next one needs."""
    whole = gpu(core, net, 3, machine)
    out = arrays(3, SITES, 1, 1, CLASSES)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 3)
    session.bind(uniforms_of(3, SITES, 1), out.values, None, out.scores, out.log_probs)
    for first, count in ((0, 1), (1, 4), (5, 0), (5, 4)):
        assert session.advance(first, count) == count
        assert session.position == first + count
    assert out.equals(whole)


def test_rows_begin_again(core: ModuleType, net: Any, machine: Any) -> None:
    out, fresh = arrays(3, SITES, 1, 1, CLASSES), gpu(core, net, 3, machine)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 3)
    uniforms = uniforms_of(3, SITES, 1)
    session.bind(uniforms, out.values)
    session.advance(0, 4)
    session.reset(np.int64([1]))
    later = uniforms.copy()
    later[1, 4:] = uniforms[1, : SITES - 4]
    again = arrays(3, SITES, 1, 1, CLASSES)
    session.bind(later, again.values)
    session.advance(4, SITES - 4)
    assert np.array_equal(again.values[1, 4:], fresh.values[1, : SITES - 4])
    assert np.array_equal(again.values[[0, 2], 4:], fresh.values[[0, 2], 4:])


def test_rows_are_selected_and_states_restored(core: ModuleType, net: Any, machine: Any) -> None:
    fresh = gpu(core, net, 3, machine)
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 3)
    uniforms, values = uniforms_of(3, SITES, 1), np.zeros((3, SITES, 1), np.int64)
    session.bind(uniforms, values)
    session.advance(0, 3)
    state = session.state()
    session.advance(3, 2)
    session.restore(state)
    assert session.position == 3
    session.select(np.int64([2, 0, 2, 1]))
    chosen = uniforms[[2, 0, 2, 1]].copy()
    values = np.zeros((4, SITES, 1), np.int64)
    session.bind(chosen, values)
    session.advance(3, SITES - 3)
    assert np.array_equal(values[:, 3:], fresh.values[[2, 0, 2, 1], 3:])


@pytest.mark.parametrize("machine", ["cluster", "grid"])
def test_every_barrier_is_needed(core: ModuleType, net: Any, machine: str) -> None:
    executor = core.SimulatedExecutor(net.program(), **MACHINES[machine])
    steps = executor.plan(2)["barrier_steps"]
    assert len(steps) >= 2
    for step in steps:
        executor._sabotage(step)
        session = core.CudaSession(executor, 2)
        out = arrays(2, SITES, 1, 1, CLASSES)
        with pytest.raises(core.RaceError, match="race on word"):
            draw(session, uniforms_of(2, SITES, 1), out, Given())


@pytest.mark.parametrize(
    ("score", "what"),
    [(np.nan, "NaN"), (np.inf, r"\+inf"), (-np.inf, "all -inf, nothing is left to draw")],
)
def test_failures_name_row_and_site(
    core: ModuleType, net: Any, machine: Any, score: float, what: str
) -> None:
    """Scores of a class become what they become by a table that a symbol chooses."""
    program = core.Program("sequence", 1, 0)
    x = program.buffer("x", 1, "sym", CLASSES)
    table = np.zeros((CLASSES + 1, CLASSES), np.float32)
    big = np.float32(3e38)
    table[7] = {np.inf: big, -np.inf: -big}.get(score, big)
    scores = program.buffer("scores", CLASSES, "f32", 0)
    terms = [("look", table, (x, 0, -1))] * 2
    if np.isnan(score):
        opposite = program.buffer("opposite", CLASSES, "f32", 0)
        program.sum("site", [opposite], "none", None, [("look", -table, (x, 0, -1))] * 2, [])
        terms = [*terms, ("add", None, (opposite, 0, 0))]
    program.sum("site", [scores], "none", None, terms, [])
    program.draw("site", [x], "categorical", (scores, 0, 0))
    program.finish()
    session = core.CudaSession(core.SimulatedExecutor(program, **machine), 3)
    forced = np.full((3, SITES, 1), 1)
    forced[2, 3], forced[1, 4], forced[0, 4] = 7, 7, 7
    forced[:, 4:] = -1
    session.bind(uniforms_of(3, SITES, 1), np.zeros((3, SITES, 1), np.int64), forced)
    with pytest.raises(FloatingPointError, match=f"row 2 at site 4 are {what}"):
        session.advance(0, SITES)
    with pytest.raises(RuntimeError, match="a draw failed"):
        session.advance(0, 1)
    session.reset(np.arange(3))
    assert session.advance(0, 2) == 2


def test_refusals(core: ModuleType, net: Any, machine: Any) -> None:
    executor = core.SimulatedExecutor(net.program(), **machine)
    with pytest.raises(ValueError, match=r"batch must be in \[1, 2\*\*31\), got 0"):
        core.CudaSession(executor, 0)
    with pytest.raises(ValueError, match="precision must be float32 or bfloat16, got int8"):
        core.SimulatedExecutor(net.program(), precision="int8")
    session = core.CudaSession(executor, 2)
    with pytest.raises(ValueError, match="bind arrays first"):
        session.advance(0, 1)
    with pytest.raises(ValueError, match=r"uniforms must be float32 \(2, any, 1\), got float32"):
        session.bind(uniforms_of(3, SITES, 1), np.zeros((3, SITES, 1), np.int64))
    with pytest.raises(ValueError, match="temperature must be finite and at least 0, got -1"):
        session.options(np.float32([1, -1]), np.int64([0, 0]), np.float32([1, 1]))
    with pytest.raises(ValueError, match=r"rows must be in \[0, 2\), got 2"):
        session.reset(np.int64([2]))
    with pytest.raises(ValueError, match="the state of this session has"):
        session.restore(b"1234567")


def test_forced_values_must_be_symbols(core: ModuleType, net: Any, machine: Any) -> None:
    """They are on the GPU, so whoever draws looks; no table is read beyond its end."""
    for wrong in (CLASSES, 2**40, -2):
        forced = np.full((2, SITES, 1), -1)
        forced[1, 3] = wrong
        session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 2)
        session.bind(uniforms_of(2, SITES, 1), np.zeros((2, SITES, 1), np.int64), forced)
        with pytest.raises(ValueError, match=r"forced must be a symbol .* in row 1 at site 3"):
            session.advance(0, SITES)


def test_selected_rows_keep_their_options(core: ModuleType, net: Any, machine: Any) -> None:
    options = Options(np.float32([0.0, 3.0, 1.0]), np.int64([0, 5, 2]), np.float32([1, 0.7, 1]))
    whole = gpu(core, net, 3, machine, Given(options=options))
    session = core.CudaSession(core.SimulatedExecutor(net.program(), **machine), 3)
    session.options(*options)
    session.select(np.int64([2, 1]))
    values = np.zeros((2, SITES, 1), np.int64)
    session.bind(uniforms_of(3, SITES, 1)[[2, 1]].copy(), values)
    session.advance(0, SITES)
    assert np.array_equal(values, whole.values[[2, 1]])


def test_one_session_refuses_two_threads(core: ModuleType, net: Any) -> None:
    """Whichever of two calls comes second is refused, and the first is none the worse."""
    n, sites = 2, 2000
    executor = core.SimulatedExecutor(net.program(), blocks=1, cluster=1)
    session = core.CudaSession(executor, n)
    values = np.full((n, sites, 1), -9, np.int64)
    session.bind(uniforms_of(n, sites, 1), values)
    with ThreadPoolExecutor(2) as callers:
        advances = [callers.submit(session.advance, 0, sites) for _ in range(2)]
    errors = [error for error in (call.exception() for call in advances) if error]
    assert [str(error) for error in errors] == ["Session: in use by another thread"]
    assert session.position == sites
    assert values.min() >= 0


def test_too_small_a_chip_is_refused(core: ModuleType, net: Any) -> None:
    with pytest.raises(ValueError, match="500 bytes of shared memory cannot hold what a site"):
        core.SimulatedExecutor(net.program(), shared_bytes=500, blocks=4).plan(1)


def test_earlier_sites_of_inputs_are_refused(core: ModuleType) -> None:
    program = core.Program("sequence", 1, 0)
    x, given = program.buffer("x", 1, "sym", 3), program.buffer("given", 2, "f32", 0)
    program.input(given, "row")
    scores = program.buffer("scores", 3, "f32", 0)
    weight = np.ones((3, 2), np.float32)
    program.sum("site", [scores], "none", None, [("mat", weight, (given, 0, -1))], [])
    program.draw("site", [x], "categorical", (scores, 0, 0))
    program.finish()
    with pytest.raises(ValueError, match="no earlier sites of the input given"):
        core.SimulatedExecutor(program, blocks=1).plan(1)


def test_image_of_weights_does_not_depend_on_the_batch(core: ModuleType, net: Any) -> None:
    """So that one copy of them serves every session."""
    executor = core.SimulatedExecutor(net.program(), cluster=8, blocks=16, shared_bytes=60_000)
    plans = [executor.plan(n) for n in (1, 7, 100, 5000)]
    assert len({(plan["blocks"], plan["grid"], plan["image_bytes"]) for plan in plans}) == 1
    assert plans[0]["rows"] < plans[2]["rows"]
    assert all(plan["chip_bytes"] <= 60_000 for plan in plans)


def test_listing_says_who_does_what(core: ModuleType, net: Any) -> None:
    plan = core.SimulatedExecutor(net.program(), cluster=8, blocks=16, shared_bytes=16_000).plan(1)
    assert f"{plan['blocks']} blocks" in plan["listing"].splitlines()[0]
    assert plan["listing"].count("-- barrier --") == plan["barriers"] == 2
