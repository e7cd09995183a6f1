"""Threads: the same bits whatever their number, several sessions at once, one caller a session."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest


def uniforms(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    return (rng.integers(2**24, size=(n, length)) * 2.0**-24).astype(np.float32)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    ("width", "n", "length"), [(17, 17, 12), (33, 2, 12), (520, 1, 6), (520, 3, 5)]
)
def test_same_bits_with_any_threads(
    network: Any, run: Any, rng: Any, isa: str, cell: str, width: int, n: int, length: int
) -> None:
    """Rows are cut over threads, and the units of one row at a width of 512 and more."""
    net, u = network(cell, width, 2, 13, seed=width), uniforms(rng, n, length)
    one = run(net, u, isa).options(1.0).advance(threads=1)
    for threads in (2, 3, 5):
        several = run(net, u, isa).options(1.0).advance(threads=threads)
        assert np.array_equal(several.values, one.values)
        assert np.array_equal(several.scores, one.scores)


def test_changing_threads_between_calls(network: Any, run: Any, rng: Any) -> None:
    net, u = network("lstm", 520, 1, 13, seed=1), uniforms(rng, 1, 12)
    one = run(net, u).options(1.0).advance()
    mixed = run(net, u).options(1.0)
    for first, threads in ((0, 2), (3, 1), (6, 4), (9, 3)):
        mixed.advance(first, 3, threads)
    assert np.array_equal(mixed.scores, one.scores)


def test_sessions_of_several_threads_at_once(network: Any, run: Any, rng: Any) -> None:
    """Four callers, each with two pool threads, over one shared executor's worth of work."""
    net = network("gru", 65, 2, 13, seed=2)
    inputs = [uniforms(rng, 5, 40) for _ in range(4)]
    alone = [run(net, u).options(0.9).advance() for u in inputs]
    runs = [run(net, u).options(0.9) for u in inputs]
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda r: [r.advance(c, 8, threads=2) for c in range(0, 40, 8)], runs))
    for done, expected in zip(runs, alone, strict=True):
        assert np.array_equal(done.values, expected.values)
        assert np.array_equal(done.scores, expected.scores)


def test_one_session_refuses_two_threads(network: Any, run: Any, rng: Any) -> None:
    """While one call runs, another is a RuntimeError, and the first is none the worse."""
    net, u = network("lstm", 129, 1, 13, seed=3), uniforms(rng, 9, 4000)
    expected = run(net, u).options(1.0).advance()
    done = run(net, u).options(1.0)
    running = threading.Thread(target=done.advance)
    running.start()
    while done.values[0, 0, 0] == -9:
        time.sleep(0)
    refused = 0
    while running.is_alive():
        try:
            done.session.state()
        except RuntimeError:
            refused += 1
    running.join()
    assert refused > 0
    assert np.array_equal(done.values, expected.values)


def test_error_in_several_threads_is_one_error(core: Any, network: Any, run: Any, rng: Any) -> None:
    """A row of every thread fails; one FloatingPointError comes, and the pool still works."""
    net = network("lstm", 17, 1, 13, seed=4)
    net.readout = np.full_like(net.readout, 3e38)
    net.bias = np.full_like(net.bias, 3e38)
    net.table[:] = 30 * np.sign(net.table)
    u = uniforms(rng, 8, 5)
    with pytest.raises(FloatingPointError, match="row"):
        run(net, u).options(1.0).advance(threads=4)
    good = network("lstm", 17, 1, 13, seed=4)
    one, several = (run(good, u).options(1.0).advance(threads=t) for t in (1, 4))
    assert np.array_equal(one.scores, several.scores)


@pytest.mark.parametrize("n", [1, 4])
def test_scores_are_not_overwritten_while_a_slower_thread_draws(
    core: Any, rng: Any, n: int
) -> None:
    """The one sum of this program writes the scores of the next site right behind the draw."""
    classes, width, length = 129, 512, 300
    program = core.Program("sequence", 1, 0)
    given = program.buffer("given", width, "f32", 0)
    x = program.buffer("x", 1, "sym", classes)
    scores = program.buffer("scores", classes, "f32", 0)
    weight = (rng.standard_normal((classes, width)) / 8).astype(np.float32)
    table = rng.standard_normal((classes + 1, classes)).astype(np.float32)
    program.input(given, "start")
    terms = [("mat", weight, (given, 0, 0)), ("look", table, (x, 0, -1))]
    program.sum("site", [scores], "none", None, terms, [])
    program.draw("site", [x], "categorical", (scores, 0, 0))
    program.finish()
    executor, features = core.Executor(program), rng.standard_normal((n, width)).astype(np.float32)
    u = uniforms(rng, n, length)[..., None]

    def draw(threads: int) -> np.ndarray:
        session, values = core.Session(executor, n), np.full((n, length, 1), -9, np.int64)
        session.input(given, features)
        session.bind(u, values)
        session.advance(0, length, threads)
        return values

    one = draw(1)
    assert len(np.unique(one)) > 20
    for threads in (2, 3, 4):
        assert np.array_equal(draw(threads), one)


def test_interrupted_inside_a_site_goes_on_to_the_same_bits(
    network: Any, run: Any, rng: Any
) -> None:
    """One site of this batch takes long: a signal leaves it in its middle, and it is made anew."""
    net, u = network("lstm", 520, 1, 13, seed=5), uniforms(rng, 3000, 3)
    expected = run(net, u).options(1.0).advance(threads=2)
    done = run(net, u).options(1.0)
    signal_soon = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))

    def draw_on() -> None:
        while True:
            done.advance(0, 3, threads=2)

    signal_soon.start()
    with pytest.raises(KeyboardInterrupt):
        draw_on()
    signal_soon.join()
    position = done.session.position
    done.session.reset(np.arange(3000))
    assert np.array_equal(done.advance(0, 3, threads=2).values, expected.values)
    assert done.session.position == position + 3
