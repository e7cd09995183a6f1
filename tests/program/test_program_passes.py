"""The passes keep what is drawn: fold within rounding, hoist and dead bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfast.program import (
    Add,
    Buffer,
    Draw,
    Input,
    Instruction,
    Look,
    Mat,
    Program,
    Sum,
    interpret,
    symbol,
)
from genfast.program.dead import drop_dead
from genfast.program.fold import fold
from genfast.program.hoist import hoist
from genfast.program.phases import schedule
from genfast.program.reach import Reach


def scores(program: Program, uniforms: Any, inputs: Any = None) -> Any:
    drawn = interpret(program, len(uniforms), uniforms, inputs=inputs)
    return drawn.values, drawn.scores[0]


def assert_same_bits(before: Program, after: Program, uniforms: Any, inputs: Any = None) -> None:
    pairs = zip(scores(before, uniforms, inputs), scores(after, uniforms, inputs), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


def test_hoisting_keeps_every_bit(case: Any, uniforms: Any) -> None:
    program = schedule(case.program)
    assert_same_bits(program, hoist(program), uniforms, case.inputs)


def test_dropping_the_dead_keeps_every_bit(case: Any, uniforms: Any) -> None:
    program = schedule(hoist(schedule(fold(case.program))))
    assert_same_bits(program, drop_dead(program), uniforms, case.inputs)


def test_folding_keeps_the_draws(case: Any, uniforms: Any) -> None:
    values, before = scores(case.program, uniforms, case.inputs)
    again, after = scores(fold(case.program), uniforms, case.inputs)
    np.testing.assert_array_equal(values, again)
    np.testing.assert_allclose(after, before, rtol=0, atol=2e-5 * abs(before).max())


def test_after_optimizing_site_code_reads_only_its_own_column_and_row(case: Any) -> None:
    program = case.program.optimized()
    for place, instruction in enumerate(program.instructions):
        for ref in instruction.refs if program.phases[place] == "site" else ():
            early = program.phases[program.writers[ref.buffer.name]] != "site"
            assert ref.dy == 0
            assert ref.dx == 0 or (ref.dx < 0 and not early)


def test_optimizing_twice_changes_nothing(case: Any) -> None:
    once = case.program.optimized()
    assert str(once.optimized()) == str(once)


def test_instructions_stand_in_order_of_execution(case: Any) -> None:
    phases = case.program.optimized().phases
    assert list(phases) == sorted(phases, key=["start", "row", "site"].index)


def weights(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


V, H, E = 4, 3, 2
x, e, h, out = symbol("x", V), Buffer("e", E), Buffer("h", H), Buffer("out", V)


def test_hoisting_a_state_from_the_row_above() -> None:
    """Row LSTM (van den Oord et al. 2016): c of the row above, next to a site's own input."""
    c = Buffer("c", H)
    cell = Sum(
        (h, c),
        (Look(weights(1, V + 1, 4 * H), x[0, -1]), Mat(weights(2, 4 * H, H), h[-1, 0])),
        None,
        "lstm",
        (c[-1, 0],),
    )
    code = [cell, Sum((out,), (Mat(weights(4, V, H), h.here),)), Draw((x,), out.here)]
    program = schedule(Program("raster", code, (4, 5)))
    optimized = program.optimized()
    assert [t.name for t in optimized.buffers] == ["c.row", "h.row", "h", "c", "out", "x"]
    uniforms = np.random.default_rng(6).random((2, 20, 1)).astype(np.float32)
    assert_same_bits(program, optimized, uniforms)


def image(*code: Instruction) -> Program:
    """What is drawn from `h`."""
    readout = Sum((out,), (Mat(weights(9, V, H), h.here),))
    return Program("raster", [*code, readout, Draw((x,), out.here)], (4, 5))


def look(seed: int, *ref: int) -> Look:
    return Look(weights(seed, V + 1, H), x[ref])


def assert_optimizes(program: Program, names: list[str]) -> None:
    """The optimized program has these buffers, can be lowered, and keeps the draws."""
    optimized = program.optimized()
    assert [buffer.name for buffer in optimized.buffers] == [*names, "out", "x"]
    optimized.lower()
    uniforms = np.random.default_rng(6).random((2, 20, 1)).astype(np.float32)
    values, before = scores(program, uniforms)
    again, after = scores(optimized, uniforms)
    np.testing.assert_array_equal(values, again)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * abs(before).max())


def test_row_code_written_after_its_reader_is_found() -> None:
    late, copied, site = Buffer("late", H), Buffer("copied", H), Buffer("site", H)
    program = image(
        Sum((site,), (look(1, 0, -1),)),
        Sum((copied,), (Add(late[0, -1]),)),
        Sum((h,), (Add(site.here), Mat(weights(2, H, H), copied.here), look(4, -1, 1))),
        Sum((late,), (look(3, -1, 0),)),
    )
    assert program.phases == ("site", "site", "site", "row", "site", "site")
    assert schedule(program).phases == ("row", "row", "site", "site", "site", "site")
    assert_optimizes(program, ["late", "copied", "h.row", "site", "h"])


def test_a_lone_early_value_elsewhere_is_brought_here() -> None:
    assert_optimizes(image(Sum((h,), (Add(h[-1, 1]), look(1, 0, -1)))), ["h.row", "h"])


def test_a_lone_early_value_here_is_not_copied() -> None:
    early = Buffer("early", H)
    code = Sum((early,), (look(2, -1, 0),)), Sum((h,), (Add(early.here), look(1, 0, -1)))
    assert_optimizes(image(*code), ["early", "h"])


def test_columns_are_kept_for_readers_of_the_same_row_only() -> None:
    reach = image(Sum((h,), (look(1, -1, -2), look(2, 0, -1)))).reach["x"]
    assert reach == Reach(rows=1, columns=1, pad_left=2, pad_right=0)


def test_start_code_is_no_cost_of_a_site() -> None:
    given = Buffer("given", E)
    terms = (Mat(weights(1, H, E), given.here), look(2, 0, -1))
    program = image(Input(given), Sum((h,), terms)).optimized()
    assert program.phases[1] == "start"
    assert program.multiply_adds == V * H == program.lower().multiply_adds


def test_new_names_are_free() -> None:
    taken = Buffer("h.row", H)
    terms = (Look(weights(1, V + 1, H), x[-1, 0]), Look(weights(2, V + 1, H), x[0, -1]))
    code = [
        Sum((taken,), (Look(weights(3, V + 1, H), x[0, -2]),)),
        Sum((h,), (*terms, Add(taken.here))),
        Sum((out,), (Mat(weights(4, V, H), h.here),)),
        Draw((x,), out.here),
    ]
    program = Program("raster", code, (4, 5)).optimized()
    assert {"h.row", "h.row'"} <= set(program.writers)


def test_the_dead_are_dropped_and_inputs_stay() -> None:
    given, dead, deader = Buffer("given", E), Buffer("dead", H), Buffer("deader", H)
    code = [
        Input(given),
        Sum((dead,), (Mat(weights(1, H, E), given.here),)),
        Sum((deader,), (Add(dead.here), Add(deader[0, -1]))),
        Sum((h,), (look(2, 0, -1),)),
    ]
    program = image(*code).optimized()
    assert [buffer.name for buffer in program.buffers] == ["given", "out", "x"]


def test_reach_of_the_masked_network(build: Any) -> None:
    reach = build["masked"]().program.optimized().reach
    assert reach["x"] == Reach(rows=3, columns=3, pad_left=3, pad_right=3)
    assert reach["m0"] == Reach(rows=1, columns=1, pad_left=1, pad_right=1)
    assert reach["n0.row"] == Reach()
    assert reach["params"] == Reach()
    assert reach["x"].kept
    assert not reach["n0.row"].kept


def test_reach_of_a_row_written_at_once(build: Any) -> None:
    reach = build["gated"](3).program.optimized().reach
    assert reach["v0"] == Reach(rows=1, columns=0, pad_left=1, pad_right=1)
    assert reach["g0"] == Reach(rows=0, columns=1, pad_left=1, pad_right=0)


def test_costs(build: Any) -> None:
    program = build["recurrent"]("lstm", 1, width=17, classes=7).program
    lstm, readout = 4 * 17 * (5 + 17), 7 * 17
    assert program.multiply_adds == lstm + readout
    assert program.weight_bytes == 4 * (8 * 5 + lstm + 4 * 17 + readout + 7)
    assert program.optimized().multiply_adds == 4 * 17 * 17 + readout
    assert program.draws == 1
