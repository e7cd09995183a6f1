"""A run that was cut off and resumed ends where an uninterrupted one does, to the bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small import (
    Game,
    Kill,
    KilledError,
    Latents,
    Noisy,
    NoisyStream,
    Regression,
    data,
    sentences,
    small_lstm,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader

from genfast.training import Callback, History, State, fit

KINDS: dict[str, Callable[[], Any]] = {
    "tensors": lambda: data(20),
    "dataset": lambda: Noisy(20),
    "loader": lambda: DataLoader(Noisy(18), batch_size=5, shuffle=True),
    "loader with a generator": lambda: DataLoader(
        Noisy(18), batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(7)
    ),
    "loader of single examples": lambda: DataLoader(
        [data(5, i) for i in range(4)], batch_size=None, shuffle=True
    ),
    "loader with workers": lambda: DataLoader(
        Noisy(18), batch_size=5, shuffle=True, num_workers=2, multiprocessing_context="fork"
    ),
    "loader of a stream": lambda: DataLoader(NoisyStream(18), batch_size=5),
    "stream": lambda: NoisyStream(18),
    "list": lambda: [data(5, i) for i in range(4)],
    "callable": lambda: lambda step: (torch.randn(4, 3), data(4, step)[1]),
}


def assert_same(run: tuple[nn.Module, History], other: tuple[nn.Module, History]) -> None:
    (model, history), (expected, whole) = run, other
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert str(history.values) == str(whole.values)  # digits are unique, and nan is no nan's equal
    assert history.held_out == whole.held_out
    assert (history.rates, history.epoch_steps) == (whole.rates, whole.epoch_steps)
    assert history.stopped == whole.stopped


def trained(
    model: nn.Module, where: Any, callbacks: Any = (), **options: Any
) -> tuple[nn.Module, History]:
    options = {"lr": 0.05, "batch_size": 5, "held_out": data(7, 9), "progress": False, **options}
    return model, fit(model, where, callbacks=callbacks, **options)


def resumed(
    out: Path, make: Callable[[], nn.Module], where: Callable[[], Any], kills: Any, **options: Any
) -> tuple[nn.Module, History]:
    options = {"out": out, "resume": True, "checkpoint_every": 0.0, **options}
    for kill in kills:
        with pytest.raises(KilledError):
            trained(make(), where(), [Kill(kill)], **options)
    return trained(make(), where(), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data(kind: str, tmp_path: Path) -> None:
    limit: dict[str, Any] = {"steps": 11} if kind == "callable" else {"epochs": 3}
    whole = trained(Regression(), KINDS[kind](), **limit)
    assert len(whole[1].loss) == 11 if kind == "callable" else 12
    assert_same(resumed(tmp_path, Regression, KINDS[kind], (2, 5, 6, 10), **limit), whole)


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 3},
        {"ema": 0.9},
        {"patience": 2, "lr": 0.5, "warmup": 0.0, "epochs": 40, "schedule": "constant"},
        {"evaluate_every": 3},
        {"clip": 0.1, "schedule": "constant", "warmup": 0.5},
        {"precision": "bfloat16"},
        {"precision": "float16"},
        {"ema": 0.9, "patience": 1, "evaluate_every": 2, "accumulate": 2},
        {"steps": 10},
    ],
    ids=",".join,
)
def test_every_option(options: dict[str, Any], tmp_path: Path) -> None:
    options = {"epochs": 3, **options}
    whole = trained(Regression(), data(20), **options)
    last = whole[1].steps
    kills = [k for k in (1, 4, 5, 8, last) if k <= last]
    assert_same(resumed(tmp_path, Regression, lambda: data(20), kills, **options), whole)


def test_a_recurrent_network_with_lengths(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 3, "held_out": 0.2, "accumulate": 2, "clip": 0.5}
    whole = trained(small_lstm(), sentences(), **options)
    assert_same(resumed(tmp_path, small_lstm, sentences, (3, 4, 9), **options), whole)


@pytest.mark.parametrize("make", [Game, Latents])
@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.9, "clip": 0.1},
        {"ema": 0.9, "patience": 9, "evaluate_every": 2, "accumulate": 2},
        {"precision": "bfloat16", "schedule": "constant", "weight_decay": 0.5},
        {"precision": "float16", "clip": None},
    ],
    ids=",".join,
)
def test_games_and_noise_by_row(
    make: type[nn.Module], options: dict[str, Any], tmp_path: Path
) -> None:
    whole = trained(make(), data(20), epochs=3, **options)
    kills = (1, 4, 5, 8)
    assert_same(resumed(tmp_path, make, lambda: data(20), kills, epochs=3, **options), whole)


class Stop(Callback):
    def on_step(self, state: State) -> None:
        state.stop = state.step == 5


class Press(Callback):
    def on_step(self, state: State) -> None:
        if state.step == 5:
            os.kill(os.getpid(), signal.SIGINT)


class PressWhileMeasuring(Regression):
    """Ctrl-C in the second held-out loss."""

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        if not self.training and step == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return super().training_step(batch, step)


@pytest.mark.parametrize(
    ("callback", "model", "stopped", "steps"),
    [
        (Stop(), Regression, "callback", 5),
        (Press(), Regression, "interrupted", 5),
        (Callback(), PressWhileMeasuring, "interrupted", 6),
    ],
)
def test_runs_that_were_stopped(
    callback: Callback, model: Any, stopped: str, steps: int, tmp_path: Path
) -> None:
    """Also when checkpoints are rare: one is written at the end."""
    options: dict[str, Any] = {"epochs": 4, "batch_size": 7, "patience": 3, "ema": 0.8}
    whole = trained(Regression(), data(20), **options)
    _, history = trained(model(), data(20), [callback], out=tmp_path, **options)
    assert (history.stopped, history.steps) == (stopped, steps)
    assert_same(trained(Regression(), data(20), out=tmp_path, resume=True, **options), whole)


def test_a_finished_run_gives_its_weights_and_history(tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "ema": 0.9, "out": tmp_path}
    whole = trained(Regression(), data(20), **options)
    again = trained(Regression(), data(20), resume=True, **options)
    assert_same(again, whole)
    assert again[1].seconds >= whole[1].seconds


def test_a_run_of_constant_rate_can_be_extended(tmp_path: Path) -> None:
    options: dict[str, Any] = {"schedule": "constant", "warmup": 0.0, "held_out": 0}
    whole = trained(Regression(), data(20), steps=9, **options)
    trained(Regression(), data(20), steps=6, out=tmp_path, **options)
    assert_same(
        trained(Regression(), data(20), steps=9, out=tmp_path, resume=True, **options), whole
    )


def test_seconds_go_on_counting(tmp_path: Path) -> None:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        return data(4, step)

    options: dict[str, Any] = {"seconds": 0.6, "out": tmp_path, "held_out": None}
    with pytest.raises(KilledError):
        trained(Regression(), batch, [Kill(3)], checkpoint_every=0.0, **options)
    _, history = trained(Regression(), batch, resume=True, **options)
    assert history.steps > 3
    assert 0.6 <= history.seconds < 5
    assert history.times == sorted(history.times)


def test_skipped_examples_are_not_loaded(tmp_path: Path) -> None:
    loaded: list[int] = []

    class Counting(Noisy):
        def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
            loaded.append(i)
            return super().__getitem__(i)

    for where in (Counting(20), DataLoader(Counting(20), batch_size=5, shuffle=True)):
        out = tmp_path / type(where).__name__
        options: dict[str, Any] = {"epochs": 1, "out": out}
        with pytest.raises(KilledError):
            trained(Regression(), where, [Kill(4)], checkpoint_every=0.0, **options)
        loaded.clear()
        trained(Regression(), where, resume=True, **options)
        assert len(loaded) == 5  # the fourth batch alone: the checkpoint is of step 3
