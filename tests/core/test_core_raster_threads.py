"""Threads over an image: rows of the batch, or rows of the image, each behind the one above."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest
from raster_programs import Drawing, Image

KINDS: dict[str, dict[str, int]] = {
    "masked": {},
    "gated": {"vertical": 3, "depth": 1},
    "wide reach": {"reach": 3, "channels": 2},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (9, 7), (6, 24)])
def test_same_bits_with_any_threads(core: Any, isa: str, kind: str, shape: tuple[int, int]) -> None:
    net = Image(core, shape, 5, **KINDS[kind])
    program = net.program()
    whole = Drawing(net, 17, isa, program=program).advance()
    for n in (1, 2, 3, 5, 17):
        for threads in (1, 2, 3):
            assert Drawing(net, n, isa, program=program).advance(threads).same(whole)
            chunks = (1, 30, 2, 9, 3, 14, 1, 50, 5)
            assert Drawing(net, n, isa, program=program).advance(threads, chunks).same(whole)


def wide(core: Any, shape: tuple[int, int]) -> Image:
    """2.4 MB of matrices, and rows of an image that cannot be under way together: threads split the
    panels of every sum where they have an image each at most."""
    return Image(core, shape, 131, vertical=3, channels=2, features=5)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (4, 3)])
def test_same_bits_where_threads_split_panels(core: Any, isa: str, shape: tuple[int, int]) -> None:
    net = wide(core, shape)
    program, sites = net.program(), shape[0] * shape[1]
    features = np.random.default_rng(1).uniform(-1, 1, (3, sites, 5)).astype(np.float32)
    whole = Drawing(net, 3, isa, features, program=program).advance()
    for n in (1, 2, 3):
        for threads in (2, 3, 9):
            for chunks in (None, (1, 3)):
                done = Drawing(net, n, isa, features, program=program)
                assert done.advance(threads, chunks).same(whole)
    mixed = Drawing(net, 2, isa, features, program=program)
    for threads in (2, 1, 3):
        count = min(2, sites - mixed.session.position)
        mixed.session.advance(mixed.session.position, count, threads)
    assert mixed.advance(2).same(whole)


def test_a_failing_draw_where_threads_split_panels(core: Any) -> None:
    net = wide(core, (2, 3))
    net.readouts[1][:] = 3e38
    done = Drawing(net, 1, features=np.ones((1, 6, 5), np.float32))
    with pytest.raises(FloatingPointError, match="row 0 at site 0 are"):
        done.advance(2)
    with pytest.raises(RuntimeError, match="failed"):
        done.advance(1)


def test_changing_threads_between_calls(core: Any) -> None:
    """Each number of threads keeps its rows otherwise; they are carried over."""
    net = Image(core, (9, 24), 17, vertical=2)
    for n in (1, 3, 9):
        whole, mixed = Drawing(net, n).advance(), Drawing(net, n)
        for threads, count in ((2, 50), (1, 7), (3, 60), (1, 1), (5, 40), (2, 58)):
            mixed.session.advance(mixed.session.position, count, threads)
        assert mixed.session.position == mixed.sites
        assert mixed.same(whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slow", [0, 1, 2])
def test_rows_wait_for_a_slow_thread_above(core: Any, kind: str, slow: int) -> None:
    net = Image(core, (7, 24), 5, **KINDS[kind])
    whole, done = Drawing(net, 1).advance(), Drawing(net, 1)
    done.session._sabotage(columns=0, thread=slow, microseconds=100)
    assert done.advance(threads=3).same(whole)


def test_failures_above_come_first(core: Any) -> None:
    """Row 2 of the image fails first in time, row 1 first in the order of sites."""
    p = core.Program("raster", 4, 24)
    x, row, scores = (
        p.buffer(name, width, kind, v)
        for name, width, kind, v in (("x", 1, "sym", 2), ("row", 2, "f32", 0), ("s", 2, "f32", 0))
    )
    table = np.array([[0, 0], [3e38, 3e38], [0, 0]], np.float32)
    p.sum("row", [row], "none", None, [("look", np.zeros((3, 2), np.float32), (x, -1, 1))], [])
    terms = [("add", None, (row, 0, 0)), *(2 * [("look", table, (x, 0, -1))])]
    p.sum("site", [scores], "none", None, terms, [])
    p.draw("site", [x], "categorical", (scores, 0, 0))
    p.finish()
    executor, forced = core.Executor(p), np.zeros((1, 96, 1), np.int64)
    forced[0, 24 + 20], forced[0, 48 + 2] = 1, 1
    for threads in (1, 2, 3):
        session = core.Session(executor, 1)
        session.bind(np.zeros((1, 96, 1), np.float32), np.zeros((1, 96, 1), np.int64), forced)
        session._sabotage(columns=0, thread=1, microseconds=100)
        with pytest.raises(FloatingPointError, match="row 0 at site 45 "):
            session.advance(0, 96, threads)
        with pytest.raises(RuntimeError, match="failed"):
            session.advance(0, 1, threads)


@pytest.mark.parametrize(
    ("n", "threads", "slow"),
    [(1, 1, 0), (1, 2, 0), (1, 2, 1), (1, 3, 0), (1, 3, 1), (8, 2, 0), (8, 2, 1)],
)
def test_interrupted_threads_go_on_to_the_same_bits(
    core: Any, n: int, threads: int, slow: int
) -> None:
    interrupt(Image(core, (12, 24), 5, vertical=2), n, threads, slow)


def test_interrupted_threads_that_split_panels_go_on_to_the_same_bits(core: Any) -> None:
    interrupt(Image(core, (12, 24), 180, vertical=24), 1, 2, 0)


def test_a_signal_is_kept_until_a_slow_thread_has_left(core: Any) -> None:
    """The caller, who asks for signals every 10 ms, waits longer than that for the other."""
    interrupt(Image(core, (12, 24), 5, vertical=2), 1, 2, 1, microseconds=40000)


def interrupt(net: Image, n: int, threads: int, slow: int, microseconds: int = 5000) -> None:
    """A signal leaves a session behind its last finished site, in the order of sites."""
    whole, done = Drawing(net, n).advance(), Drawing(net, n)
    # Half a second and more for the slow thread, so that a loaded machine, too, is interrupted.
    done.session._sabotage(columns=0, thread=slow, microseconds=microseconds)
    signal_soon = threading.Timer(0.06, lambda: os.kill(os.getpid(), signal.SIGINT))
    signal_soon.start()
    with pytest.raises(KeyboardInterrupt):
        done.advance(threads)
    signal_soon.join()
    at = done.session.position
    assert 0 < at < done.sites
    assert np.array_equal(done.values[:, :at], whole.values[:, :at])
    done.session._sabotage(columns=0, thread=-1, microseconds=0)
    other = Drawing(net, n)
    other.session.restore(done.session.state())
    assert np.array_equal(other.advance(1).scores[:, at:], whole.scores[:, at:])
    assert done.advance(threads).same(whole)
