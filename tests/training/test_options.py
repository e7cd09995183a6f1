"""What the options of `fit` do to the weights: parts, precision, averages, patience."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import Regression, data, sentences, small_lstm
from torch import Tensor, nn

from genfast.training import Callback, History, State, fit


def run(model: nn.Module, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.05, "progress": False, **options})


@pytest.mark.parametrize("accumulate", [2, 3, 5, 50])
def test_parts_of_a_batch_make_the_step_of_the_whole(accumulate: int) -> None:
    """Sentences of differing lengths: a mean of the parts' means would be another gradient."""
    whole, parts = small_lstm(dropout=0.0), small_lstm(dropout=0.0)
    options: dict[str, Any] = {"steps": 20, "batch_size": 5, "held_out": 0, "clip": 0.1}
    expected = run(whole, sentences(23), **options)
    history = run(parts, sentences(23), accumulate=accumulate, **options)
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert history.loss == pytest.approx(expected.loss, rel=1e-5)
    assert history.values["sites"] == expected.values["sites"]


def test_parts_are_rows() -> None:
    seen: list[Any] = []

    class Seeing(Regression):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            seen.append((len(batch["x"]), list(batch["names"]), batch["scale"]))
            return super().training_step((batch["x"], batch["y"]), step)

    x, y = data(5)
    batch = {"x": x, "y": y, "names": list("abcde"), "scale": 3}
    run(Seeing(), [batch], epochs=1, accumulate=2)
    assert seen == [(2, ["a", "b"], 3), (3, ["c", "d", "e"], 3)]


def test_a_part_without_a_site_weighs_nothing() -> None:
    tokens, lengths = sentences(4)
    lengths[0] = 0
    whole, parts = small_lstm(dropout=0.0), small_lstm(dropout=0.0)
    options: dict[str, Any] = {"steps": 3, "held_out": 0}
    run(whole, (tokens, lengths), **options)
    run(parts, (tokens, lengths), accumulate=4, **options)
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    with pytest.raises(ValueError, match="the sites of a batch must be above 0, got 0"):
        run(small_lstm(), (tokens, torch.zeros_like(lengths)), **options)


def test_held_out_loss_is_a_mean_over_sites() -> None:
    model, held = small_lstm(), sentences(7)
    history = run(model, sentences(), steps=1, held_out=held, batch_size=3)
    model.eval()
    expected = -model.log_prob(*held).sum() / held[1].sum()
    assert history.held_out[0][1] == pytest.approx(expected.item(), rel=1e-6)
    assert history.in_sites


class Types(Regression):
    """Says in what precision its matrix product was computed."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        self.types: list[tuple[bool, torch.dtype]] = []

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        self.types.append((self.training, self.linear(batch[0]).dtype))
        return super().training_step(batch, step)


@pytest.mark.parametrize(
    ("precision", "inside"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_precision_is_that_of_the_forward_pass(precision: str, inside: torch.dtype) -> None:
    model = Types()
    history = run(model, data(40), epochs=8, batch_size=8, precision=precision, lr=0.3)
    assert set(model.types) == {(True, inside), (False, torch.float32)}
    assert model.linear.weight.dtype == torch.float32
    assert history.held_out[-1][1] < 0.5 * history.held_out[0][1]


def test_float16_finds_a_scale_and_gives_up_without_one() -> None:
    """At the first scale, 65536, the gradient overflows; the steps that do are left out."""
    model = Regression(dropout=0.0)
    x, y = data(8)
    history = run(model, lambda step: (x, 100 * y), steps=60, precision="float16", clip=None)
    assert history.loss[-1] < history.loss[0]
    assert all(p.isfinite().all() for p in model.parameters())

    class Hopeless(Regression):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            return {"loss": (self.linear.weight * 0).sum().sqrt()}

    with pytest.raises(FloatingPointError, match="gradients of step 16 are not finite in float16"):
        run(Hopeless(), lambda step: data(4), steps=60, precision="float16")


def test_the_average_is_what_is_measured_and_left() -> None:
    raw: list[Tensor] = []

    class Look(Callback):
        def on_step(self, state: State) -> None:
            assert isinstance(state.model, Regression)
            raw.append(state.model.linear.weight.detach().clone())

    model, held = Regression(dropout=0.0), data(9, 5)
    history = run(model, data(20), steps=12, ema=0.5, held_out=held, callbacks=[Look()])
    average = raw[0]
    for n, weight in enumerate(raw[1:], start=1):
        decay = min(0.5, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(model.linear.weight.detach(), average)
    assert not torch.allclose(model.linear.weight, raw[-1])
    model.eval()
    assert history.held_out[-1][1] == pytest.approx(model.training_step(held, 0)["loss"].item())


def test_buffers_are_averaged_and_whole_numbers_copied() -> None:
    plain, averaged = Regression(), Regression()
    run(plain, data(20), steps=12)
    run(averaged, data(20), steps=12, ema=0.9)
    assert averaged.steps_seen == plain.steps_seen == 12
    assert not torch.allclose(averaged.mean, plain.mean)


class Worse(nn.Module):
    """Its held-out loss is 3, 2, 1, 2, 3, ... : the best weights are those after three steps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.register_buffer("steps", torch.tensor(0))

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        if self.training:
            self.steps += 1
        return {"loss": abs(self.steps - 3.0) + 1.0 + 0 * self.weight}


@pytest.mark.parametrize(("patience", "steps"), [(1, 4), (2, 5), (4, 7)])
def test_patience_ends_with_the_best_weights(patience: int, steps: int) -> None:
    model = Worse()
    history = run(model, [data(4)], epochs=50, held_out=data(4), patience=patience)
    assert (history.stopped, history.steps, model.steps.item()) == ("early", steps, 3)
    assert [loss for _, loss in history.held_out][:4] == [3, 2, 1, 2]


def test_patience_that_lasts_leaves_the_best_weights_too() -> None:
    model = Worse()
    history = run(model, [data(4)], epochs=6, held_out=data(4), patience=9)
    assert (history.stopped, history.steps, model.steps.item()) == ("finished", 6, 3)


@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({"epochs": 3}, [3, 6, 9]),
        ({"epochs": 3, "evaluate_every": 2}, [2, 4, 6, 8, 9]),
        ({"steps": 7, "evaluate_every": 5}, [5, 7]),
        ({"steps": 4, "evaluate_every": 4}, [4]),
    ],
)
def test_when_the_held_out_loss_is_taken(options: dict[str, Any], at: list[int]) -> None:
    history = run(Regression(), data(20), batch_size=8, held_out=data(4), **options)
    assert [step for step, _loss in history.held_out] == at


def test_data_without_an_end_is_measured_as_it_goes() -> None:
    history = run(
        Regression(), lambda step: data(4, step), steps=9, held_out=data(4), evaluate_every=3
    )
    assert [step for step, _loss in history.held_out] == [3, 6, 9]


def test_noise_of_the_held_out_loss_is_the_same_each_time() -> None:
    class Noise(Regression):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            loss = super().training_step(batch, step)["loss"]
            return {"loss": loss if self.training else torch.randn(())}

    losses = [loss for _, loss in run(Noise(), data(20), epochs=3, held_out=data(4)).held_out]
    assert losses[0] == losses[1] == losses[2]


def test_numbers_that_only_some_steps_return_stay_in_line() -> None:
    class Now(Regression):
        def training_step(self, batch: Any, step: int) -> dict[str, Any]:
            result = super().training_step(batch, step)
            return {**result, "now": step} if step in (1, 3) else result

    history = run(Now(), lambda step: data(4), steps=5)
    assert [math.isnan(x) for x in history.values["now"]] == [True, False, True, False, True]
    assert history.values["now"][3] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate must be a whole number of at least 1, got 0"),
        ({"evaluate_every": 0}, "evaluate_every must be a whole number of at least 1, got 0"),
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"patience": 1, "held_out": 0}, "patience needs held-out data, got none"),
        ({"ema": 1.0}, "ema must be above 0 and below 1, got 1.0"),
        ({"precision": "half"}, "precision must be auto, float32, bfloat16 or float16, got 'half'"),
        ({"held_out": lambda step: data(4)}, "held_out must come to an end, got a callable"),
        ({"resume": True}, "resume needs the folder of the run, got out=None"),
        ({"checkpoint_every": -1.0}, "checkpoint_every must be at least 0 seconds, got -1.0"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(Regression(), data(9), epochs=1, **options)
