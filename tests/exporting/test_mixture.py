"""The mixture's nodes alone: the contract's pixel, its clamps, and the ends of its uniforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from genfast.exporting.categorical import prepared
from genfast.exporting.heads import HEADS, chances
from genfast.exporting.nodes import FLOAT, INT64, Nodes, value_info
from genfast.heads import DrawOptions, LogisticMixture
from genfast.program import Buffer, Draw, Program, Sum, symbol
from genfast.program.mixture import logistic_mixture

LARGEST = 1 - 2.0**-24
# Levels, components, channels.
SIZES = [(2, 1, 1), (4, 5, 2), (256, 10, 3), (17, 17, 4), (5, 33, 1), (65536, 130, 2), (3, 2, 16)]

Array = np.ndarray[Any, Any]


@pytest.fixture
def draws(opened: Any) -> Callable[[LogisticMixture], Callable[..., Any]]:
    """Makes a function (scores, uniforms, temperatures, given) -> int64 (N, C) by the nodes."""

    def make(head: LogisticMixture) -> Callable[..., Any]:
        params, channels = Buffer("params", head.parameters), head.channels
        targets = tuple(symbol(f"x{c}", head.levels) for c in range(channels))
        code = [
            Sum((params,), (), np.zeros(head.parameters, np.float32)),
            Draw(targets, params.here, "logistic_mixture", head.draws),
        ]
        nodes = Nodes()
        kinds = {"scores": (FLOAT, params.width), "uniforms": (FLOAT, head.draws)}
        kinds |= {"temperature": (FLOAT, 1), "given": (INT64, channels)}
        inputs = [value_info(nodes.fresh(k), its[0], ["n", its[1]]) for k, its in kinds.items()]
        n = nodes.add("Shape", "scores", start=0, end=1)
        turned = (nodes.add("Transpose", name, perm=[1, 0]) for name in ("uniforms", "given"))
        (chance,) = chances(nodes, Program("sequence", code), n, [], *turned)
        options = prepared(nodes, head.levels, n, "", None, None)
        mine = {name: part.value for name, part in chance.items()}
        drawn = HEADS["logistic_mixture"].draw(nodes, code[1], "scores", mine, options)
        outputs = [value_info(name, INT64, ["n"]) for name in drawn]
        graph = opened(nodes.model("mixture", inputs, outputs, ""))

        def run(scores: Array, uniforms: Array, temperature: Any = 1.0, given: Any = -1) -> Array:
            size = len(scores)
            column = np.broadcast_to(np.asarray(temperature, np.float32), size)[:, None]
            levels = np.broadcast_to(given, (size, channels)).astype(np.int64)
            fed = {"scores": scores, "uniforms": uniforms, "temperature": column, "given": levels}
            return np.stack(graph(**fed), 1)

        return run

    return make


def lattice(rng: Any, *shape: int) -> Array:
    words = rng.integers(0, 2**24, shape) * 2.0**-24
    return np.asarray(words, np.float32)


def parameters(head: LogisticMixture, rng: Any, n: int) -> Array:
    """Rows whose scales reach from far below the floor to half the range, some cut off above."""
    k, c = head.mixtures, head.channels
    scores = rng.normal(size=(n, head.parameters)).astype(np.float32)
    scales = scores[:, k * (1 + c) : k * (1 + 2 * c)]
    scales[:] = rng.choice([-9.0, -5.0, -2.0, -0.5, 3.0], scales.shape) + 0.3 * scales
    return scores


def judged(head: LogisticMixture, scores: Array, values: Array, uniforms: Array, t: Any) -> Any:
    """Whether each pixel is what its uniforms ask for, in float64, and the eps of each."""
    exact, n = torch.from_numpy(scores).double(), len(scores)
    temperature = torch.from_numpy(np.broadcast_to(np.asarray(t, np.float32), n).copy())
    options = DrawOptions(temperature, torch.zeros(n).long(), torch.ones(n))
    drawn, chance = torch.from_numpy(values), torch.from_numpy(uniforms)
    right, eps = head.judge(exact, exact.float(), drawn, chance, options)
    return right.numpy(), eps.numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
def test_is_the_pixel_of_the_contract(draws: Any, size: Any, temperature: float) -> None:
    head, rng = LogisticMixture(*size), np.random.default_rng(size[0])
    scores, uniforms = parameters(head, rng, 400), lattice(rng, 400, head.draws)
    drawn = draws(head)(scores, uniforms, temperature)
    right, eps = judged(head, scores, drawn, uniforms, temperature)
    assert right.all()
    # 16 bits of levels leave float32 8 behind the point: some draws lie too near an edge to tell.
    fine = head.levels <= 256
    assert (eps < 1e-3).mean() > (0.999 if fine else 0.8)
    rows = zip(scores, uniforms, strict=True)
    expected = [logistic_mixture(*row, head.levels, temperature) for row in rows]
    assert (drawn == expected).all(1).mean() > (0.995 if fine else 0.97)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_ends_of_the_uniforms(draws: Any, size: Any) -> None:
    """0 is a uniform of 2**-25, and the largest is below 1: levels are the contract's."""
    head, rng = LogisticMixture(*size), np.random.default_rng(1)
    scores, run = parameters(head, rng, 64), draws(head)
    for end in (0.0, 2.0**-24, LARGEST):
        uniforms = np.full((64, head.draws), end, np.float32)
        drawn = run(scores, uniforms)
        assert judged(head, scores, drawn, uniforms, 1.0)[0].all()


@pytest.mark.parametrize("temperature", [0.0, 1.0, 1e37])
def test_extreme_parameters(draws: Any, temperature: float) -> None:
    """Clamps keep what overflows apart from NaN: at the lowest or the highest level, or between."""
    head, rng = LogisticMixture(256, 2, 3), np.random.default_rng(2)
    signs = rng.choice([-1, 1], (200, head.parameters))
    scores = (signs * 10.0 ** rng.uniform(-3, 12, signs.shape)).astype(np.float32)
    scores[:, 2:8] = (signs * 10.0 ** rng.uniform(-3, 38, signs.shape)).astype(np.float32)[:, 2:8]
    uniforms = lattice(rng, 200, 4)
    with np.errstate(over="ignore"):
        rows = zip(scores, uniforms, strict=True)
        expected = np.array([logistic_mixture(*row, 256, temperature) for row in rows])
    drawn = draws(head)(scores, uniforms, temperature)
    assert ((drawn >= 0) & (drawn < 256)).all()
    assert (drawn == expected).mean() > 0.99


def test_a_level_in_the_middle_of_two_is_the_higher_one(draws: Any) -> None:
    """All zeros: the mean is 127.5 levels, and the bin of 128 begins there."""
    head = LogisticMixture(256, 3, 3)
    scores = np.zeros((1, head.parameters), np.float32)
    np.testing.assert_array_equal(
        draws(head)(scores, lattice(np.random.default_rng(0), 1, 4), 0.0), [[128] * 3]
    )


def test_couplings_see_levels_as_they_are_drawn(draws: Any) -> None:
    """Each channel is its own sum of the ones before it, far apart: no two couplings are equal."""
    head = LogisticMixture(256, 1, 4)
    scores = np.zeros((4, head.parameters), np.float32)
    scores[:, 1] = [-1, -0.3, 0.4, 1]
    scores[:, 5:9] = -7
    couplings = np.array([0.9, -0.5, 0.7, 0.2, -0.3, 0.6])
    scores[:, 9:] = np.arctanh(couplings)
    reals = np.zeros((4, 4))
    expected = np.zeros((4, 4), int)
    for c in range(4):
        seen = (couplings[c * (c - 1) // 2 :][:c] * reals[:, :c]).sum(1)
        expected[:, c] = np.floor((scores[:, 1 + c] + seen + 1) * 127.5 + 0.5).clip(0, 255)
        reals[:, c] = expected[:, c] / 127.5 - 1
    drawn = draws(head)(scores, lattice(np.random.default_rng(0), 4, 5), 0.0)
    np.testing.assert_array_equal(drawn, expected)


def test_given_pixels_and_rows_beside_each_other(draws: Any) -> None:
    head, rng = LogisticMixture(16, 3, 3), np.random.default_rng(5)
    scores, uniforms = parameters(head, rng, 60), lattice(rng, 60, 4)
    temperature = rng.choice([0, 0.7, 1, 2], 60)
    run, given = draws(head), rng.integers(16, size=(60, 3))
    given[::2] = -1
    drawn = run(scores, uniforms, temperature, given)
    np.testing.assert_array_equal(drawn[1::2], given[1::2])
    for row in range(0, 60, 2):
        alone = run(*(a[row : row + 1] for a in (scores, uniforms, temperature)))
        np.testing.assert_array_equal(alone[0], drawn[row])
    assert run(scores[:0], uniforms[:0]).shape == (0, 3)
