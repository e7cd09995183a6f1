"""What a step is told: the random numbers of its rows, in whatever way the batch is cut."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from small import Latents, Regression, data

from genfast.models.turn import Turn
from genfast.random import fold
from genfast.training import History, fit


def run(model: Any, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.05, "progress": False, **options})


class Told(Latents):
    """Writes its turns down."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[bool, int, int, int]] = []

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        assert turn.player is None
        self.told.append((self.training, turn.seed, turn.index, len(batch[0])))
        return super().training_step(batch, step, turn)


def test_a_step_has_a_seed_and_its_rows_have_numbers() -> None:
    model = Told()
    run(model, lambda step: data(5, step), steps=3, accumulate=2, seed=7)
    seeds = [fold(7, "train", step) for step in range(3)]
    assert model.told == [(True, seed, *rows) for seed in seeds for rows in ((0, 2), (2, 3))]


def test_held_out_rows_meet_the_same_numbers_each_time() -> None:
    model = Told()
    run(model, data(9), epochs=2, held_out=data(8), batch_size=3, seed=7)
    held = [told[1:] for told in model.told if not told[0]]
    assert held[:3] == held[3:]
    assert [rows for _seed, *rows in held[:3]] == [[0, 3], [3, 3], [6, 2]]
    seeds = {seed for _training, seed, *_rows in model.told}
    assert len(seeds) == 6 + 1


@pytest.mark.parametrize("accumulate", [2, 3, 50])
def test_parts_of_a_batch_draw_what_the_whole_draws(accumulate: int) -> None:
    whole, parts = Latents(), Latents()
    options: dict[str, Any] = {"steps": 20, "batch_size": 7, "held_out": 0}
    expected = run(whole, data(22), **options)
    history = run(parts, data(22), accumulate=accumulate, **options)
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert history.loss == pytest.approx(expected.loss, rel=1e-5)


def test_a_wrapped_step_is_told_too() -> None:
    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(step)
        def watching(*args: Any, **options: Any) -> Any:
            return step(*args, **options)

        return watching

    class Watched(Told):
        training_step = watched(Told.training_step)  # type: ignore[assignment]

    model = Watched()
    run(model, data(9), steps=1, held_out=0)
    assert model.told == [(True, fold(0, "train"), 0, 9)]


def test_a_step_of_two_arguments_is_told_nothing() -> None:
    class Optional(Regression):
        def training_step(self, batch: Any, step: int, scale: float = 1.0) -> dict[str, Any]:
            assert scale == 1.0
            return super().training_step(batch, step)

    assert run(Optional(), data(9), epochs=1).steps == 1
