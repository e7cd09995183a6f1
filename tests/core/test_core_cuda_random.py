"""Random programs on simulated GPUs: what the CPU core computes, and no race."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from random_programs import RandomProgram
from simulated import Drawn, Given, arrays, draw, uniforms_of

# Clusters and grids, with chips that hold everything, or values alone, or little.
MACHINES = [
    {"cluster": 1, "blocks": 2, "shared_bytes": 232_448},
    {"cluster": 4, "blocks": 8, "shared_bytes": 12_000},
    {"cluster": 8, "blocks": 8, "shared_bytes": 6_000},
    {"cluster": 1, "blocks": 3, "shared_bytes": 9_000},
    {"cluster": 1, "blocks": 5, "shared_bytes": 40_000},
]


def seeds(first: int, few: int, many: int) -> list[Any]:
    """The first few of many by default."""
    slow = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(first + few, first + many)]
    return [*range(first, first + few), *slow]


def made(core: ModuleType, seed: int, *, exact: bool) -> RandomProgram:
    return RandomProgram(core, seed, raster=seed % 2 == 0, exact=exact)


def on_cpu(core: ModuleType, p: RandomProgram, n: int) -> Drawn:
    session = core.Session(core.Executor(p.program), n)
    start, by_site = p.given(n)
    uniforms = uniforms_of(n, p.sites, p.draws)
    out = arrays(n, p.sites, p.draws, p.draws, p.classes)
    return draw(session, uniforms, out, Given(start, by_site), 1)


def on_gpu(core: ModuleType, p: RandomProgram, n: int, **how: Any) -> tuple[Drawn, Any]:
    session = core.CudaSession(core.SimulatedExecutor(p.program, **how), n)
    start, by_site = p.given(n)
    uniforms = uniforms_of(n, p.sites, p.draws)
    out = arrays(n, p.sites, p.draws, p.draws, p.classes)
    return draw(session, uniforms, out, Given(start, by_site)), session.plan()


def fits(core: ModuleType, p: RandomProgram, how: dict[str, Any]) -> bool:
    """Whether a machine has room for what a site computes."""
    try:
        core.SimulatedExecutor(p.program, **how).plan(1)
    except ValueError as error:
        if "cannot hold" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("seed", seeds(0, 12, 60))
def test_integers_are_exact(core: ModuleType, seed: int) -> None:
    """Every score, and so every draw, is the CPU core's to the bit, in either precision."""
    p = made(core, seed, exact=True)
    expected = on_cpu(core, p, 3)
    ran = 0
    for number, machine in enumerate(MACHINES):
        for precision in ("float32", "bfloat16"):
            how = machine | {"precision": precision, "seed": 10 * seed + number}
            if fits(core, p, how):
                drawn, _ = on_gpu(core, p, 3, **how)
                assert np.array_equal(drawn.scores, expected.scores), how
                assert np.array_equal(drawn.values, expected.values), how
                ran += 1
    assert ran >= 4


@pytest.mark.parametrize("seed", seeds(100, 8, 40))
def test_floats_are_close(core: ModuleType, seed: int) -> None:
    p = made(core, seed, exact=False)
    expected = on_cpu(core, p, 3)
    scale = np.abs(expected.scores).max()
    for number, machine in enumerate(MACHINES):
        how = machine | {"seed": 10 * seed + number}
        if fits(core, p, how):
            drawn, _ = on_gpu(core, p, 3, **how)
            assert np.array_equal(drawn.values, expected.values), how
            assert np.abs(drawn.scores - expected.scores).max() <= 2e-5 * scale
            assert np.abs(drawn.log_probs - expected.log_probs).max() <= 1e-4


@pytest.mark.parametrize("seed", seeds(200, 3, 20))
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_bits_do_not_depend_on_batch_or_order(core: ModuleType, seed: int, precision: str) -> None:
    """Nor on the turns that blocks and threads take."""
    p = made(core, seed, exact=False)
    for machine in MACHINES:
        how = machine | {"precision": precision}
        if not fits(core, p, how):
            continue
        whole, _ = on_gpu(core, p, 5, **how, seed=1)
        for n in (1, 2):
            part, _ = on_gpu(core, p, n, **how, seed=2)
            assert part.equals(Drawn(*(array[:n] for array in whole))) or p.inputs
        again, _ = on_gpu(core, p, 5, **how, seed=3)
        assert again.equals(whole)


def without(core: ModuleType, p: RandomProgram, step: int, how: dict[str, Any]) -> Drawn | None:
    """What is drawn without the barrier before a step; None where the simulation sees a race."""
    executor = core.SimulatedExecutor(p.program, **how)
    executor._sabotage(step)
    start, by_site = p.given(2)
    out = arrays(2, p.sites, p.draws, p.draws, p.classes)
    uniforms = uniforms_of(2, p.sites, p.draws)
    try:
        return draw(core.CudaSession(executor, 2), uniforms, out, Given(start, by_site))
    except core.RaceError as race:
        if re.search("race on word|was never written", str(race)):
            return None
        raise


def test_missing_barriers_are_found(core: ModuleType) -> None:
    """Most of them; the others stand before what lies outside of small images, and are harmless."""
    found, missed = 0, 0
    for seed in range(300, 320):
        p = made(core, seed, exact=True)
        how = {"cluster": 4, "blocks": 4, "shared_bytes": 12_000}
        if not fits(core, p, how):
            how["shared_bytes"] = 24_000
        expected = on_cpu(core, p, 2)
        for step in core.SimulatedExecutor(p.program, **how).plan(2)["barrier_steps"]:
            drawn = without(core, p, step, how)
            if drawn is None:
                found += 1
                continue
            missed += 1
            assert np.array_equal(drawn.scores, expected.scores)
    assert found > 15
    assert found > 3 * missed
