"""Sessions of recurrent programs against a plain network, and against themselves cut otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

CELLS = ["lstm", "gru"]


def uniforms(rng: np.random.Generator, n: int, length: int) -> NDArray[np.float32]:
    return (rng.integers(2**24, size=(n, length)) * 2.0**-24).astype(np.float32)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("width", "depth", "n"), [(1, 1, 2), (17, 3, 1), (17, 1, 17), (129, 2, 9)])
def test_scores(
    network: Any, run: Any, rng: Any, isa: str, cell: str, width: int, depth: int, n: int
) -> None:
    """2e-5 of the scores' scale: float32 chains of `width` terms against float64."""
    net = network(cell, width, depth, 13, seed=width)
    done = run(net, uniforms(rng, n, 12), isa).options(1.0).advance()
    expected = net.scores(done.values[:, :, 0])
    assert np.abs(done.scores - expected).max() <= 2e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("cell", CELLS)
def test_log_probs(network: Any, run: Any, rng: Any, isa: str, cell: str) -> None:
    """Of what was drawn, under the model itself: whatever the temperature and what is kept."""
    net = network(cell, 17, 1, 13, seed=3)
    done = run(net, uniforms(rng, 5, 12), isa).options(0.5, 4, 0.9).advance()
    scores = net.scores(done.values[:, :, 0])
    log_probs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    drawn = np.take_along_axis(log_probs, done.values, -1)
    assert np.abs(done.log_probs - drawn).max() <= 2e-5 * np.abs(drawn).max()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("width", [17, 128])
def test_rows_alone(network: Any, run: Any, rng: Any, isa: str, cell: str, width: int) -> None:
    """A row is the same to the bit in a batch of 17 and alone: draws and scores."""
    net, u = network(cell, width, 2, 33, seed=5), uniforms(rng, 17, 9)
    whole = run(net, u, isa).options(0.8).advance()
    for row in range(17):
        alone = run(net, u[row : row + 1], isa).options(0.8).advance()
        assert np.array_equal(alone.values[0], whole.values[row])
        assert np.array_equal(alone.scores[0], whole.scores[row])


@pytest.mark.parametrize("cell", CELLS)
def test_chunks(network: Any, run: Any, rng: Any, isa: str, cell: str) -> None:
    net, u = network(cell, 33, 2, 17, seed=6), uniforms(rng, 3, 23)
    whole = run(net, u, isa).options(1.0).advance()
    cut = run(net, u, isa).options(1.0)
    for first, count in ((0, 1), (1, 2), (3, 17), (20, 3)):
        cut.advance(first, count)
        assert cut.session.position == first + count
    assert np.array_equal(cut.values, whole.values)
    assert np.array_equal(cut.scores, whole.scores)


def test_forced_values_continue_to_the_same_sample(
    network: Any, run: Any, rng: Any, isa: str
) -> None:
    net, u = network("lstm", 17, 2, 11, seed=7), uniforms(rng, 5, 20)
    whole = run(net, u, isa).options(1.0).advance()
    prompted = run(net, np.where(np.arange(20) < 8, np.float32(0), u), isa).options(1.0)
    prompted.forced[:, :8] = whole.values[:, :8]
    prompted.advance()
    assert np.array_equal(prompted.values, whole.values)
    assert np.array_equal(prompted.scores, whole.scores)


def test_forced_row_by_row(network: Any, run: Any, rng: Any) -> None:
    """Rows force at differing sites; the others draw on."""
    net, u = network("gru", 17, 1, 11, seed=8), uniforms(rng, 3, 10)
    done = run(net, u).options(1.0)
    done.forced[0, 2], done.forced[2, 5:7] = 4, 10
    done.advance()
    assert done.values[0, 2] == 4
    assert (done.values[2, 5:7] == 10).all()
    expected = net.scores(done.values[:, :, 0])
    assert np.abs(done.scores - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("symbol", [-2, 11, 2**40])
def test_forced_outside_the_vocabulary(network: Any, run: Any, rng: Any, symbol: int) -> None:
    done = run(network("lstm", 5, 1, 11, seed=9), uniforms(rng, 3, 10)).options(1.0)
    done.forced[1, 7] = symbol
    with pytest.raises(ValueError, match=str(symbol)):
        done.advance()


@pytest.mark.parametrize("cell", CELLS)
def test_reset_rows_begin_anew(network: Any, run: Any, rng: Any, isa: str, cell: str) -> None:
    net, u = network(cell, 17, 2, 11, seed=10), uniforms(rng, 5, 20)
    whole = run(net, u, isa).options(1.0).advance()
    again = run(net, u, isa).options(1.0).advance(0, 8)
    again.uniforms[[1, 4], 8:] = u[[1, 4], :12, None]
    again.session.reset(np.array([4, 1]))
    again.advance(8, 12)
    assert np.array_equal(again.values[[1, 4], 8:], whole.values[[1, 4], :12])
    assert np.array_equal(again.values[[0, 2, 3]], whole.values[[0, 2, 3]])


@pytest.mark.parametrize("cell", CELLS)
def test_state_comes_back(network: Any, run: Any, rng: Any, isa: str, cell: str) -> None:
    net, u = network(cell, 17, 2, 11, seed=11), uniforms(rng, 3, 20)
    done = run(net, u, isa).options(1.0).advance(0, 7)
    state = done.session.state()
    done.advance(7)
    first = done.values.copy()
    done.values[:, 7:] = -9
    done.session.restore(state)
    assert done.session.position == 7
    assert np.array_equal(done.advance(7).values, first)
    other = run(net, u, isa).options(1.0)
    other.session.restore(state)
    assert np.array_equal(other.advance(7).values[:, 7:], first[:, 7:])


def test_foreign_state_is_refused(network: Any, run: Any, rng: Any) -> None:
    small = run(network("lstm", 5, 1, 11, seed=12), uniforms(rng, 3, 4)).options(1.0)
    wide = run(network("lstm", 7, 1, 11, seed=12), uniforms(rng, 3, 4)).options(1.0)
    own = small.session.state()
    for state in (b"", own[:-1], own + b"x", b"x" * len(own), wide.session.state()):
        with pytest.raises(ValueError, match="state"):
            small.session.restore(state)
    small.advance()


@pytest.mark.parametrize("rows", [[3], [4, 0], [2, 2, 0, 1, 4, 3, 1]])
def test_select(network: Any, run: Any, rng: Any, isa: str, rows: list[int]) -> None:
    """Kept rows go on with their own state and options."""
    net, u = network("lstm", 17, 2, 11, seed=13), uniforms(rng, 5, 20)
    temperature = np.linspace(0.2, 1.4, 5)
    whole = run(net, u, isa).options(temperature).advance()
    first = run(net, u, isa).options(temperature).advance(0, 9)
    kept = run(net, u[rows], isa)
    kept.session = first.session
    kept.session.select(np.array(rows))
    assert kept.session.batch == len(rows)
    kept.bind()
    assert np.array_equal(kept.advance(9).values[:, 9:], whole.values[rows, 9:])


@pytest.mark.parametrize("rows", [[5], [-1], [0, 99]])
def test_rows_out_of_range(network: Any, run: Any, rng: Any, rows: list[int]) -> None:
    session = run(network("lstm", 5, 1, 11, seed=14), uniforms(rng, 5, 4)).session
    with pytest.raises(ValueError, match="rows"):
        session.select(np.array(rows))
    with pytest.raises(ValueError, match="rows"):
        session.reset(np.array(rows))


@pytest.mark.parametrize("name", ["uniforms", "values", "forced", "scores", "log_probs"])
@pytest.mark.parametrize("wrong", ["dtype", "shape", "order"])
def test_bound_arrays_are_checked(network: Any, run: Any, rng: Any, name: str, wrong: str) -> None:
    done = run(network("lstm", 5, 1, 11, seed=15), uniforms(rng, 3, 4))
    array = getattr(done, name)
    if wrong == "dtype":
        array = array.astype(np.int32)
    elif wrong == "shape":
        array = np.concatenate([array, array])
    else:
        array = array.repeat(2, 1)[:, ::2]
    setattr(done, name, array)
    with pytest.raises(ValueError, match=name):
        done.bind()


@pytest.mark.parametrize(("first", "count"), [(0, 5), (4, 1), (-1, 1), (0, -1), (2**62, 2**62)])
def test_columns_beyond_what_is_bound(
    network: Any, run: Any, rng: Any, first: int, count: int
) -> None:
    done = run(network("lstm", 5, 1, 11, seed=16), uniforms(rng, 3, 4))
    with pytest.raises(ValueError, match="advance"):
        done.session.advance(first, count, 1)


def test_nothing_bound(core: Any, network: Any) -> None:
    session = core.Session(core.Executor(network("lstm", 5, 1, 11, seed=17).program()), 2)
    with pytest.raises(ValueError, match="bind"):
        session.advance(0, 1, 1)
