"""The harness's arithmetic, with contenders whose speed is known."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from bench import bench_export, bench_recurrent
from bench.exported_side import EXPORTED, SEEDED
from bench.harness import (
    AS_WRITTEN,
    OURS,
    SAME_ALGEBRA,
    Contender,
    Entry,
    enter,
    finalists,
    race,
    save,
    spread,
)
from bench.machine import facts, floor_seconds
from bench.rows import Excuses, excuse, neighbours, screened
from bench.task import Task, fold_table, make_weights
from genfast.demo.timing import settle

TASK = Task("lstm", 128, 1, 16)


def sleeper(milliseconds, kind=OURS, calls=None):
    """Takes so long a site, and notes how many sites it was asked for."""

    def draw(uniforms):
        if calls is not None:
            calls.append(uniforms.shape[1])
        time.sleep(1e-3 * milliseconds * uniforms.shape[1])
        return np.zeros(uniforms.shape, np.int64)

    return Contender(kind, "sleep", str(milliseconds), 1, draw)


def timed(kind, us, threads=1, engine="engine"):
    return {
        "kind": kind,
        "engine": engine,
        "form": "form",
        "threads": threads,
        "us": {"median": us},
    }


def test_measure_gives_seconds_a_site():
    calls = []
    entry = Entry(sleeper(1, calls=calls), np.zeros((2, 20), np.float32), repeats=2)
    entry.measure()
    assert calls == [2, 20, 20]
    assert 1e-3 <= entry.seconds[0] < 3e-3


def test_enter_fills_the_measurement():
    entry = enter(sleeper(1), np.zeros((1, 1000), np.float32), 0.1)
    assert 30 <= entry.uniforms.shape[1] <= 100
    assert entry.repeats == 1
    assert entry.best_guess >= 1e-3


def test_enter_repeats_when_sites_run_out():
    entry = enter(sleeper(1), np.zeros((1, 10), np.float32), 0.1)
    assert entry.uniforms.shape[1] == 10
    assert 4 <= entry.repeats <= 10


def test_finalists_are_chosen_within_their_kind():
    speeds = [(AS_WRITTEN, 10.0), (AS_WRITTEN, 12.9), (AS_WRITTEN, 13.1), (SAME_ALGEBRA, 99.0)]
    entries = [Entry(sleeper(1, kind), np.zeros((1, 1)), 1, [speed]) for kind, speed in speeds]
    assert [e.best_guess for e in finalists(entries, 1.3)] == [10.0, 12.9, 99.0]


def test_screening_measures_only_those_with_hope():
    uniforms = np.zeros((1, 50), np.float32)
    calls: list[int] = []
    others = [Entry(sleeper(1, AS_WRITTEN), uniforms, 1, [1e-3])]
    hopeless = screened(sleeper(4, AS_WRITTEN, calls), uniforms, 0.02, others)
    warm_up = len(calls)
    assert hopeless.best_guess >= 4e-3
    screened(sleeper(4, SAME_ALGEBRA, calls), uniforms, 0.02, others)
    assert len(calls) == 2 * warm_up + 2


def test_screening_looks_again_at_several_threads():
    """A worker that begins on the caller's core is no reason to leave a contender behind."""
    uniforms, draws = np.zeros((1, 50), np.float32), []

    def draw(uniforms):
        draws.append(len(draws))
        time.sleep((4e-3 if len(draws) < 6 else 1e-3) * uniforms.shape[1])
        return np.zeros(uniforms.shape, np.int64)

    others = [Entry(sleeper(1, AS_WRITTEN), uniforms, 1, [1e-3])]
    once = screened(Contender(AS_WRITTEN, "sleep", "late", 1, draw), uniforms, 0.02, others)
    draws.clear()
    again = screened(Contender(AS_WRITTEN, "sleep", "late", 2, draw), uniforms, 0.02, others)
    assert once.best_guess >= 4e-3
    assert again.best_guess < 1.3e-3
    assert len(again.seconds) == 1


def test_settle_waits_for_a_spinning_thread():
    end = time.perf_counter() + 0.08

    def spin():
        while time.perf_counter() < end:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    settle()
    assert time.perf_counter() >= end
    thread.join()


def test_race_alternates():
    order = []

    def contender(name):
        def draw(uniforms):
            order.append(name)
            return uniforms

        return Contender(OURS, name, "", 1, draw)

    entries = [Entry(contender(name), np.zeros((1, 2), np.float32)) for name in "ab"]

    def ceiling():
        order.append("peak")
        return 7.0

    measured = race(entries, {"fma 1": ceiling}, rounds=2)
    assert order == ["a", "a", "b", "b", "peak"] * 2
    assert measured == {"fma 1": [7.0, 7.0]}
    assert [len(entry.seconds) for entry in entries] == [2, 2]


def test_spread():
    expected = {"median": 2000.0, "low": 1000.0, "high": 9000.0, "rounds": 3}
    assert spread([1e-3, 9e-3, 2e-3], 1e6) == expected


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task("lstm", 128, 1, 1), 4 * 128 * 128 + 65 * 128),
        (Task("gru", 512, 2, 64), 3 * 3 * 512 * 512 + 65 * 512),
    ],
)
def test_multiply_adds_count_no_input_projection(task, expected):
    assert task.multiply_adds == expected
    assert task.weight_bytes == 4 * expected


def test_floor_is_the_larger_bound():
    operations, moved = TASK.batch * TASK.multiply_adds, TASK.weight_bytes
    assert floor_seconds(TASK, fma=operations / 3, read=moved / 2) == pytest.approx(3)
    assert floor_seconds(TASK, fma=operations / 3, read=moved / 5) == pytest.approx(5)


def test_fold_table_is_embedding_times_projection():
    weights = make_weights(Task("gru", 17, 1, 1, 3))
    layer = weights.layers[0]
    expected = weights.embed @ layer.w_ih.T + layer.b_ih
    np.testing.assert_allclose(fold_table(weights), expected, rtol=0, atol=1e-5)


def test_neighbours_share_cell_and_width():
    found = [task.name for task in neighbours(TASK)]
    assert found == ["lstm 1x128 batch 1", "lstm 1x128 batch 64", "lstm 2x128 batch 16"]
    assert len(list(neighbours(Task("gru", 512, 2, 256)))) == 2


def test_excuse_needs_a_neighbour_that_is_hopeless():
    rows = {
        "lstm 1x128 batch 1": {
            "contenders": {"slow": timed(AS_WRITTEN, 21.0), "best": timed(AS_WRITTEN, 10.0)}
        }
    }
    assert excuse(TASK, "slow", rows) == "2.1 x the fastest of its kind in lstm 1x128 batch 1"
    assert excuse(TASK, "best", rows) is None
    assert excuse(TASK, "other", rows) is None
    assert excuse(Task("lstm", 512, 1, 16), "slow", rows) is None
    rows["lstm 1x128 batch 1"]["contenders"]["slow"] = timed(AS_WRITTEN, 19.0)
    assert excuse(TASK, "slow", rows) is None


def test_excuses_note_who_was_left_out():
    rows = {
        "lstm 1x128 batch 1": {
            "contenders": {"slow": timed(AS_WRITTEN, 21.0), "best": timed(AS_WRITTEN, 10.0)}
        }
    }
    excuses = Excuses(TASK, rows)
    assert [excuses.grants(key) for key in ("slow", "best")] == [True, False]
    assert excuses.left_out == {"slow": "2.1 x the fastest of its kind in lstm 1x128 batch 1"}


RIVALS = [
    timed(AS_WRITTEN, 40.0, engine="slow"),
    timed(AS_WRITTEN, 20.0, engine="fast"),
    timed(SAME_ALGEBRA, 10.0),
]


def row_of(contenders):
    """A row whose two threads could do the work in 2 us and read the weights in 4."""
    ceilings = {
        "fma 2": TASK.batch * TASK.multiply_adds / 2e-6,
        "read 2": TASK.weight_bytes / 4e-6,
        "fma 1": 1,
        "read 1": 1,
    }
    return {
        "contenders": {str(k): c for k, c in enumerate(contenders)},
        "ceilings": {name: {"median": value} for name, value in ceilings.items()},
    }


def test_summary_compares_the_fastest_of_each_kind():
    ours = [timed(OURS, 8.0, threads=1), timed(OURS, 5.0, threads=2)]
    found = bench_recurrent.summary(TASK, row_of([*ours, *RIVALS]))
    assert (found["us"], found["threads"]) == (5.0, 2)
    assert (found["as_written"]["ratio"], found["same_algebra"]["ratio"]) == (4.0, 2.0)
    assert found["as_written"]["who"] == "fast, form, 1 threads"
    assert (found["floor_us"], found["share_of_peak"]) == (4.0, 0.4)


def test_summary_of_the_export_compares_at_the_common_job():
    ours = [timed(EXPORTED, 5.0, threads=2), timed(SEEDED, 6.0), timed(OURS, 2.0)]
    found = bench_export.summary(TASK, row_of([*ours, *RIVALS]))
    assert (found["us"], found["seeded_us"], found["core_us"]) == (5.0, 6.0, 2.0)
    assert (found["as_written"]["ratio"], found["same_algebra"]["ratio"]) == (4.0, 2.0)
    assert found["share_of_peak"] == 0.4


def test_save_leaves_whole_json(tmp_path):
    path = tmp_path / "results" / "x.json"
    save(path, {"a": 1})
    save(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_facts_name_processor_and_versions():
    found = facts()
    assert found["cores"] >= 1
    assert found["versions"]["torch"] != "not installed"
