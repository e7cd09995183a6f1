"""Rasters in the core against plain float64 networks, and against themselves cut otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from raster_programs import Drawing, Image

SHAPES = [(1, 1), (1, 7), (5, 1), (9, 7)]
KINDS: dict[str, dict[str, int]] = {
    "masked": {},
    "gated": {"vertical": 3, "depth": 1},
    "channels": {"channels": 2},
    "wide reach": {"reach": 3},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_scores(core: Any, isa: str, kind: str, shape: tuple[int, int]) -> None:
    """2e-5 of the scores' scale: float32 chains against float64."""
    for width in (1, 5, 17):
        net = Image(core, shape, width, **KINDS[kind])
        done = Drawing(net, 3, isa).advance()
        expected = net.scores(done.values)
        assert np.abs(done.scores - expected).max() <= 2e-5 * max(1, np.abs(expected).max())


def test_draws_are_those_of_the_uniforms(core: Any, isa: str) -> None:
    """The drawn class is the first whose running mass exceeds the uniform, but at an edge."""
    net = Image(core, (9, 7), 17, channels=2)
    done = Drawing(net, 5, isa).advance()
    mass = np.exp(net.scores(done.values)).cumsum(-1)
    mass /= mass[..., -1:]
    edges = np.concatenate([np.zeros_like(mass[..., :1]), mass], -1)
    low = np.take_along_axis(edges, done.values[..., None], -1)[..., 0]
    high = np.take_along_axis(edges, done.values[..., None] + 1, -1)[..., 0]
    assert (done.uniforms >= low - 1e-5).all()
    assert (done.uniforms <= high + 1e-5).all()
    assert len(np.unique(done.values)) == net.levels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 5, 17])
def test_rows_alone(core: Any, isa: str, kind: str, width: int) -> None:
    """An image is the same to the bit alone and in batches up to 17."""
    net = Image(core, (5, 7), width, **KINDS[kind])
    program = net.program()
    whole = Drawing(net, 17, isa, program=program).advance()
    for n in range(1, 17):
        assert Drawing(net, n, isa, program=program).advance().same(whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_chunks(core: Any, isa: str, kind: str, shape: tuple[int, int]) -> None:
    """Rows are left in their middle and taken up again."""
    net = Image(core, shape, 5, **KINDS[kind])
    whole = Drawing(net, 3, isa).advance()
    assert Drawing(net, 3, isa).advance(chunks=(1, 2, 9, 3, 14, 1, 5)).same(whole)
    assert Drawing(net, 3, isa).advance(chunks=[1] * whole.sites).same(whole)


def test_forced_sites_keep_the_rest(core: Any) -> None:
    net = Image(core, (5, 7), 17, channels=2)
    whole = Drawing(net, 3).advance()
    given = Drawing(net, 3)
    given.forced[:, ::3] = whole.values[:, ::3]
    given.uniforms[:, ::3] = 0
    given.bind()
    assert given.advance().same(whole)


def test_relu_stored_with_its_sum_is_relu(core: Any, isa: str) -> None:
    """With a bias of zeros a relu is a sum of its own: the same bits."""
    net = Image(core, (5, 7), 17)
    alone = Drawing(net, 3, isa, program=net.program(zero_bias_relu=True)).advance()
    assert Drawing(net, 3, isa).advance().same(alone)


def test_a_relu_behind_another_reader(core: Any) -> None:
    """y keeps its memory while somebody reads it behind its relu, and its sign."""
    p = core.Program("raster", 2, 3)
    x = p.buffer("x", 1, "sym", 2)
    y, act, scores = (p.buffer(name, 2, "f32", 0) for name in ("y", "act", "scores"))
    table = np.array([[-1, 2], [3, -4], [-5, 6]], np.float32)
    p.sum("site", [y], "none", None, [("look", table, (x, 0, -1))], [])
    p.sum("site", [act], "relu", None, [("add", None, (y, 0, 0))], [])
    p.sum(
        "site", [scores], "none", None, [("add", None, (act, 0, 0)), ("add", None, (y, 0, 0))], []
    )
    p.draw("site", [x], "categorical", (scores, 0, 0))
    p.finish()
    session, values = core.Session(core.Executor(p), 1), np.zeros((1, 6, 1), np.int64)
    found = np.zeros((1, 6, 2), np.float32)
    session.bind(np.full((1, 6, 1), 0.5, np.float32), values, scores=found)
    session.advance(0, 6, 1)
    before = np.where(np.arange(6) % 3 == 0, 2, np.concatenate([[0], values[0, :-1, 0]]))
    assert np.array_equal(found[0], np.maximum(0, table[before]) + table[before])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 5, 16, 17])
def test_what_was_in_memory_does_not_matter(core: Any, isa: str, kind: str, width: int) -> None:
    net = Image(core, (5, 7), width, **KINDS[kind])
    for n in (1, 9):
        poisoned = Drawing(net, n, isa)
        poisoned.session._poison()
        assert poisoned.advance().same(Drawing(net, n, isa).advance())


def test_many_terms(core: Any, isa: str) -> None:
    """A tap is a term: 9 x 19 of them above the site."""
    net = Image(core, (11, 7), 5, reach=9, depth=1)
    assert len(net.above) > 170
    done = Drawing(net, 2, isa).advance()
    expected = net.scores(done.values)
    assert np.abs(done.scores - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("at", [1, 7, 13, 21, 34])
def test_state_comes_back(core: Any, threads: int, at: int) -> None:
    """Taken in the middle of a row or not, put back whatever drew it and whatever goes on."""
    net = Image(core, (5, 7), 5, vertical=2)
    whole = Drawing(net, 2).advance()
    begun = Drawing(net, 2)
    begun.session.advance(0, at, threads)
    state = begun.session.state()
    for again in (1, 2, 3):
        other = Drawing(net, 2)
        other.session.restore(state)
        assert other.session.position == at
        other.advance(again)
        assert np.array_equal(other.values[:, at:], whole.values[:, at:])
        assert np.array_equal(other.scores[:, at:], whole.scores[:, at:])
    assert begun.advance(threads).same(whole)


def test_select(core: Any) -> None:
    net, rows = Image(core, (5, 7), 5), [3, 0, 3]
    whole, begun = Drawing(net, 5).advance(), Drawing(net, 5)
    begun.session.advance(0, 17, 2)
    begun.session.select(np.array(rows))
    kept = Drawing(net, 3)
    kept.session, kept.uniforms = begun.session, whole.uniforms[rows]
    kept.bind()
    assert np.array_equal(kept.advance().values[:, 17:], whole.values[rows, 17:])


@pytest.mark.parametrize(("n", "threads"), [(1, 1), (1, 2), (5, 2)])
def test_memory_of_another_draw_leaves_no_trace(core: Any, n: int, threads: int) -> None:
    """What a session gives back, full of NaN and levels, is the next one's."""
    net = Image(core, (5, 7), 5, vertical=2)
    executor, whole = core.Executor(net.program()), Drawing(net, n).advance()
    for _ in range(3):
        done = Drawing(net, n)
        done.session = core.Session(executor, n)
        done.bind()
        assert done.advance(threads).same(whole)
        done.session._poison()


def test_scratch_is_a_few_rows(core: Any) -> None:
    """Whatever the number of rows; and about in proportion to columns and batch."""

    def bytes_of(shape: tuple[int, int], n: int) -> int:
        executor = core.Executor(Image(core, shape, 32, depth=3).program())
        return int(core.Session(executor, n).scratch_bytes)

    small = bytes_of((8, 16), 2)
    assert bytes_of((128, 16), 2) == small
    assert bytes_of((8, 64), 2) < 4.1 * small
    # Per block two rows of m and one of its row code; one row for the first layer, some sites more.
    columns = 3 * (2 * 18 + 16) + 16 + 8
    assert small < columns * 2 * 32 * 4 + 4096


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_failure_names_row_and_site(core: Any, threads: int) -> None:
    p = core.Program("raster", 4, 9)
    x, scores = p.buffer("x", 1, "sym", 2), p.buffer("scores", 2, "f32", 0)
    table = np.array([[0, 0], [3e38, 3e38], [0, 0]], np.float32)
    p.sum("site", [scores], "none", None, 2 * [("look", table, (x, 0, -1))], [])
    p.draw("site", [x], "categorical", (scores, 0, 0))
    p.finish()
    session = core.Session(core.Executor(p), 3)
    forced = np.zeros((3, 36, 1), np.int64)
    forced[1, 20], forced[2, 15] = 1, 1
    session.bind(np.zeros((3, 36, 1), np.float32), np.zeros((3, 36, 1), np.int64), forced)
    with pytest.raises(FloatingPointError, match=r"row 2 at site 16 are \+inf"):
        session.advance(0, 36, threads)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [1, 3])
def test_rows_that_begin_too_early_are_noticed(core: Any, kind: str, columns: int) -> None:
    """The lag is the least: with one column less, bits differ behind a slow thread.

    Planted races, so this stands beside the tests of threads, which the thread sanitizer runs.
    Not where the other thread is kept from its core meanwhile, so there are some attempts.
    """
    net = Image(core, (7, 24), 5, **KINDS[kind])
    whole = Drawing(net, 1).advance()

    def early() -> Drawing:
        done = Drawing(net, 1)
        done.session._sabotage(columns=columns, thread=0, microseconds=200)
        return done.advance(threads=2)

    assert any(not early().same(whole) for _ in range(20))
