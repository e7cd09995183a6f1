"""`fit`: AdamW and nothing else, on any data, and every way to end."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from genfast.training import Callback, History, State, fit

TRUTH = torch.tensor([[1.0], [-2.0], [3.0]])


class Line(nn.Module):
    """y = x w + b, with what it was shown written down."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.dropout = nn.Dropout(dropout)
        self.seen: list[Tensor] = []
        self.modes: list[bool] = []
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        x, y = batch
        self.seen.append(x.detach().clone())
        self.modes.append(self.training)
        loss = ((self.dropout(self.linear(x)) - y) ** 2).mean()
        return {"loss": loss, "rows": len(x), "name": "ignored"}


def data(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))
    return x, x @ TRUTH + 0.5


def run(model: nn.Module, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.1, "weight_decay": 0.0, "progress": False, **options})


class Batches(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(TensorDataset(*data(20)))


def test_it_learns() -> None:
    model = Line()
    history = run(model, data(129), epochs=40, batch_size=16)
    torch.testing.assert_close(model.linear.weight.T, TRUTH, atol=1e-2, rtol=0)
    assert history.held_out[-1][1] < 1e-4 < history.held_out[0][1]
    assert history.loss[-1] < 1e-3 * history.loss[0]
    assert (history.epochs, history.stopped) == (40, "finished")
    assert history.steps == len(history.loss) == len(history.values["rows"]) == 40 * 8


@pytest.mark.parametrize("clip", [None, 0.5])
def test_it_is_adamw(clip: float | None) -> None:
    """The weights are, to the bit, those of the loop that one would write."""
    x, y = data(17)
    model, plain = Line(), Line()
    run(model, lambda step: (x + step, y), steps=9, schedule="constant", warmup=0.0, clip=clip)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.1, weight_decay=0.0)
    for step in range(9):
        optimizer.zero_grad()
        plain.training_step((x + step, y), step)["loss"].backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(plain.parameters(), clip)
        optimizer.step()
    assert torch.equal(model.linear.weight, plain.linear.weight)
    assert torch.equal(model.linear.bias, plain.linear.bias)


def test_schedule_rises_then_falls_as_a_cosine() -> None:
    rates: list[float] = []

    class Rates(Callback):
        def on_step(self, state: State) -> None:
            rates.append(state.optimizer.param_groups[0]["lr"])

    run(Line(), data(40), epochs=10, batch_size=9, held_out=0.1, warmup=0.25, callbacks=[Rates()])
    fractions = [(step + 0.5) / 40 for step in range(40)]
    expected = [0.1 * min(1, f / 0.25) * (1 + math.cos(math.pi * f)) / 2 for f in fractions]
    assert rates == pytest.approx(expected, rel=1e-9)


def test_parameter_groups_keep_what_they_say() -> None:
    class Grouped(Line):
        def parameter_groups(self) -> list[dict[str, Any]]:
            return [
                {"params": [self.linear.weight]},
                {"params": [self.linear.bias], "lr": 0.0, "weight_decay": 0.5},
            ]

    model = Grouped()
    nn.init.constant_(model.linear.bias, 7.0)
    run(model, data(16), steps=5)
    assert model.linear.bias.item() == 7.0
    assert model.linear.weight.abs().sum() > 0


def test_every_example_once_an_epoch_and_none_that_is_held_out() -> None:
    x, y = data(129)
    model = Line()
    run(model, (x, y), epochs=3, batch_size=16, held_out=0.2)
    trained = [s for s, training in zip(model.seen, model.modes, strict=True) if training]
    held = [s for s, training in zip(model.seen, model.modes, strict=True) if not training]
    epochs = [torch.cat(trained[i : i + 7]) for i in (0, 7, 14)]
    everything = {tuple(row) for row in x.tolist()}
    train_rows = {tuple(row) for row in epochs[0].tolist()}
    held_rows = {tuple(row) for batch in held for row in batch.tolist()}
    assert len(epochs[0]) == len(train_rows) == 103
    assert train_rows | held_rows == everything
    assert not train_rows & held_rows
    assert {tuple(row) for row in epochs[1].tolist()} == train_rows
    assert not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize(
    ("where", "options", "steps", "evaluations"),
    [
        (data(20), {"epochs": 2}, 2 * 3, 2),
        (list(data(20)), {"epochs": 2, "held_out": 0}, 2 * 3, 0),
        (TensorDataset(*data(20)), {"epochs": 2}, 2 * 3, 2),
        (DataLoader(TensorDataset(*data(20)), batch_size=9), {"epochs": 2}, 2 * 3, 0),
        ([data(5, 1), data(4, 2)], {"epochs": 3, "held_out": data(8)}, 3 * 2, 3),
        (Batches(), {"epochs": 2}, 2 * 3, 0),
        (lambda step: data(4, step), {"steps": 5, "held_out": data(8)}, 5, 1),
        (data(20), {"steps": 4}, 4, 2),
        (data(20), {"steps": 100, "epochs": 2}, 2 * 3, 2),
        (data(1), {"epochs": 2}, 2, 0),
    ],
)
def test_any_data(where: Any, options: dict[str, Any], steps: int, evaluations: int) -> None:
    history = run(Line(), where, batch_size=8, **options)
    assert history.steps == steps
    assert len(history.held_out) == evaluations


def test_a_tensor_comes_as_a_tensor() -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(3))

        def training_step(self, batch: Tensor, step: int) -> dict[str, Tensor]:
            assert isinstance(batch, Tensor)
            return {"loss": ((batch - self.mean) ** 2).mean()}

    model = Mean()
    run(model, torch.ones(17, 3), epochs=60, held_out=0)
    torch.testing.assert_close(model.mean.detach(), torch.ones(3), atol=0.05, rtol=0)


def test_held_out_loss_is_the_mean_over_examples_without_dropout() -> None:
    x, y = data(17)
    model = Line(dropout=0.5)
    history = run(model, [data(4)], epochs=1, held_out=(x, y), batch_size=8)
    model.eval()
    assert history.held_out == [(1, pytest.approx(model.training_step((x, y), 0)["loss"].item()))]


def test_one_seed_one_model() -> None:
    def weights(seed: int, global_seed: int) -> Tensor:
        torch.manual_seed(global_seed)
        model = Line(dropout=0.3)
        run(model, data(40), epochs=3, batch_size=7, seed=seed)
        return model.linear.weight.detach()

    assert torch.equal(weights(0, 1), weights(0, 2))
    assert not torch.equal(weights(0, 1), weights(1, 1))


def test_generator_and_mode_are_left_as_found() -> None:
    model = Line(dropout=0.3).eval()
    before = torch.get_rng_state()
    run(model, data(40), epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert model.modes[0]
    assert not model.modes[-1]


def test_seconds_end_training() -> None:
    start = time.monotonic()
    history = run(Line(), lambda step: data(4, step), seconds=0.3)
    assert 0.3 <= time.monotonic() - start < 5
    assert history.steps > 1
    assert history.seconds >= 0.3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_step(bad: float) -> None:
    model = Line()
    kept: list[Tensor] = []

    def batch(step: int) -> tuple[Tensor, Tensor]:
        kept.append(model.linear.weight.detach().clone())
        x, y = data(4, step)
        return x, y * bad if step == 3 else y

    with pytest.raises(FloatingPointError, match=r"the loss of step 3 is (nan|inf)"):
        run(model, batch, steps=9)
    assert torch.equal(model.linear.weight, kept[3])
    assert model.linear.weight.isfinite().all()


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_not_finite_names_its_step(clip: float | None) -> None:
    class Root(Line):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            return {"loss": (self.linear.weight * (step - 2)).abs().sum().sqrt()}

    model = Root()
    nn.init.ones_(model.linear.weight)
    with pytest.raises(FloatingPointError, match="norm of the gradient of step 2 is"):
        run(model, data(4), epochs=9, clip=clip)
    assert model.linear.weight.isfinite().all()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_at_the_last_finished_step() -> None:
    class Press(Line):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            if step == 4:
                press_ctrl_c()
            return super().training_step(batch, step)

    model, plain = Press(), Line()
    called: list[int] = []

    class Count(Callback):
        def on_step(self, state: State) -> None:
            called.append(state.step)

    options: dict[str, Any] = {"schedule": "constant", "warmup": 0.0, "held_out": 0}
    history = run(model, data(17), epochs=90, callbacks=[Count()], **options)
    assert (history.steps, history.stopped) == (5, "interrupted")
    assert called == [1, 2, 3, 4, 5]
    run(plain, data(17), steps=5, **options)
    assert torch.equal(model.linear.weight, plain.linear.weight)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_the_held_out_part_ends_training() -> None:
    class Press(Line):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            if not self.training:
                press_ctrl_c()
            return super().training_step(batch, step)

    model = Press()
    history = run(model, data(17), epochs=90)
    assert (history.epochs, history.stopped, history.held_out) == (1, "interrupted", [])
    assert model.training


def test_ctrl_c_twice_raises_at_once() -> None:
    class Press(Line):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            press_ctrl_c()
            press_ctrl_c()
            raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt):
        run(Press(), data(4), epochs=1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_callbacks_see_steps_and_epochs_and_may_stop() -> None:
    log: list[str] = []

    class Log:
        def on_step(self, state: State) -> None:
            assert state.loss == state.history.loss[-1]
            log.append(f"step {state.step}")

        def on_epoch(self, state: State) -> None:
            log.append(f"epoch {state.epoch}, {len(state.history.held_out)} evaluated")

    class Stop:
        def on_step(self, state: State) -> None:
            state.stop = state.step == 3

    history = run(Line(), data(20), epochs=9, batch_size=9, callbacks=[Log(), Stop()])
    assert log == ["step 1", "step 2", "epoch 1, 1 evaluated", "step 3", "epoch 1, 2 evaluated"]
    assert history.stopped == "callback"


def test_progress_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    run(Line(), data(20), epochs=2, progress=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wanted", [True, False])
def test_progress_on_a_terminal(
    wanted: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    history = run(Line(), data(20), epochs=2, progress=wanted)
    shown = capsys.readouterr().err
    if wanted:
        assert f"held out {history.held_out[-1][1]:.4f}" in shown
        assert "step 2" in shown
        assert "left" in shown
    else:
        assert shown == ""


def one_batch(step: int) -> Any:
    return data(4)


@pytest.mark.parametrize(
    ("where", "options", "message"),
    [
        (data(9), {}, "one of epochs, steps and seconds must be given"),
        (data(9), {"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        (data(9), {"steps": 1.5}, "steps must be a whole number of at least 1, got 1.5"),
        (data(9), {"seconds": float("nan")}, "seconds must be a number above 0, got nan"),
        (data(9), {"epochs": 1, "batch_size": 0}, "batch_size must be a whole number"),
        (data(9), {"epochs": 1, "lr": -1.0}, "lr must be a number above 0, got -1.0"),
        (data(9), {"epochs": 1, "clip": 0.0}, "clip must be a number above 0, got 0.0"),
        (data(9), {"epochs": 1, "weight_decay": -1.0}, "weight_decay must be at least 0"),
        (data(9), {"epochs": 1, "schedule": "step"}, "schedule must be cosine or constant"),
        (data(9), {"epochs": 1, "warmup": 1.0}, "warmup must be at least 0 and below 1"),
        (data(9), {"epochs": 1, "held_out": 1.0}, "held_out must be at least 0 and below 1"),
        (data(9), {"epochs": 1, "seed": -1}, "seed must be at least 0"),
        (5, {"epochs": 1}, "data must be a tensor, a tuple of tensors, .* got int"),
        (iter([data(4)]), {"epochs": 1}, "data must be .* got list_iterator"),
        ((torch.ones(3), torch.ones(4)), {"epochs": 1}, r"first dimension, got \[\(3,\), \(4,\)\]"),
        (torch.ones(0, 3), {"epochs": 1}, "data must hold at least one example, got 0"),
        ([], {"epochs": 1}, "data must give at least one batch an epoch, got none"),
        (one_batch, {"epochs": 1}, "data without an end needs steps or seconds, got epochs"),
        (one_batch, {"steps": 1, "held_out": 0.1}, "held_out must be data of its own"),
    ],
)
def test_bad_input_is_refused(where: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(Line(), where, **options)


@pytest.mark.parametrize("result", [None, {}, {"loss": 1.0}, {"loss": torch.ones(2)}])
def test_a_step_without_a_loss_is_refused(result: Any) -> None:
    class Odd(Line):
        def training_step(self, batch: Any, step: int) -> Any:
            return result

    with pytest.raises(ValueError, match=r"Odd.training_step must return dict\(loss=a scalar"):
        run(Odd(), data(4), epochs=1)


def test_a_model_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="model must have training_step"):
        run(nn.Linear(3, 1), data(4), epochs=1)
