"""Games: whose weights move, what is written down, and what is refused."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Game, Latents, data
from torch import Tensor, nn

from genfast.models.turn import Turn
from genfast.random import fold
from genfast.training import Callback, History, State, fit


def run(model: nn.Module, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.02, "progress": False, **options})


def batch(step: int) -> tuple[Tensor, Tensor]:
    return data(6, step)


def assert_same_weights(model: nn.Module, other: nn.Module) -> None:
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize("clip", [None, 0.1])
def test_it_is_the_loop_that_one_would_write(clip: float | None) -> None:
    """To the bit: an AdamW for each player, who is clipped by itself."""
    model, plain = Game(), Game()
    run(model, batch, steps=9, schedule="constant", warmup=0.0, clip=clip, seed=3)
    players = {"judge": plain.judge, "generator": plain.generator}
    rates = {"judge": 0.02, "generator": 0.01}
    optimizers = {
        name: torch.optim.AdamW(player.parameters(), lr=rates[name], weight_decay=0.01)
        for name, player in players.items()
    }
    for step in range(9):
        seed = fold(3, "train", step)
        for number, name in enumerate(plain.turns(step)):
            plain.zero_grad()
            turn = Turn(fold(seed, "train", number) if number else seed, player=name)
            plain.training_step(batch(step), step, turn)["loss"].backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(players[name].parameters(), clip)
            optimizers[name].step()
    assert_same_weights(model, plain)


class Watched(Game):
    """Notes whose weights require gradients, and what became of them since the turn before."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: list[tuple[str | None, bool, bool]] = []
        self.free: list[tuple[str | None, bool, bool]] = []
        self.before = self.weights()

    def weights(self) -> tuple[Tensor, Tensor]:
        players = (self.judge, self.generator)
        judge, generator = (nn.utils.parameters_to_vector(p.parameters()) for p in players)
        return judge.detach(), generator.detach()

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        now = self.weights()
        judge, generator = (not torch.equal(*pair) for pair in zip(self.before, now, strict=True))
        self.moved.append((turn.player, judge, generator))
        self.before = now
        free = [all(p.requires_grad for p in m.parameters()) for m in (self.judge, self.generator)]
        held = [any(p.requires_grad for p in m.parameters()) for m in (self.judge, self.generator)]
        assert free == held
        self.free.append((turn.player, *free))
        return super().training_step(batch, step, turn)


def test_one_player_moves_at_a_time() -> None:
    """Weights of the other have no gradient, and do not decay either."""
    model = Watched()
    run(model, batch, steps=5, weight_decay=0.5)
    assert model.free == [
        ("judge", True, False),
        ("judge", True, False),
        ("generator", False, True),
        ("judge", True, False),
        ("judge", True, False),
        ("generator", False, True),
        ("judge", True, False),
    ]
    assert [moved[1:] for moved in model.moved] == [
        (False, False),  # nobody has moved before the first turn
        *[(True, False), (True, False), (False, True)] * 2,
    ]
    assert all(p.requires_grad for p in model.parameters())


def test_weights_that_the_user_froze_stay_frozen() -> None:
    model = Game()
    model.generator[3].requires_grad_(False)
    before = model.generator[3].weight.clone()
    run(model, batch, steps=4)
    assert torch.equal(model.generator[3].weight, before)
    free = [p.requires_grad for p in model.generator.parameters()]
    assert free == [True, True, True, False, False]


class Failing(Game):
    """What the generator's loss is in its turn of step 7 is told when it is made."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.begun: dict[str, Tensor] = {}

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        if (step, turn.player) == (7, "generator"):
            self.begun = {name: p.detach().clone() for name, p in self.named_parameters()}
            return {"loss": super().training_step(batch, step, turn)["loss"] * self.factor}
        return super().training_step(batch, step, turn)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (math.nan, "the loss of step 7 in the turn of generator is nan; the weights are those"),
        (math.inf, "the loss of step 7 in the turn of generator is inf; the weights are those"),
        (1e12, r"step 7 in the turn of generator is \d+\.\d+, beyond 1e\+10; the weights are"),
    ],
)
def test_a_bad_loss_names_step_and_player(factor: float, message: str, tmp_path: Path) -> None:
    """The run goes on from its last checkpoint, once the loss is good, to the same end."""
    options: dict[str, Any] = {"steps": 12, "ema": 0.9, "out": tmp_path, "checkpoint_every": 0.0}
    model, whole, resumed = Failing(factor), Game(), Failing(1.0)
    with pytest.raises(FloatingPointError, match=message):
        run(model, batch, **options)
    for name, p in model.named_parameters():
        assert p.isfinite().all()
        assert torch.equal(p, model.begun[name])
        assert p.requires_grad
    run(whole, batch, steps=12, ema=0.9)
    history = run(resumed, batch, resume=True, **options)
    assert history.steps == 12
    assert_same_weights(resumed, whole)


def test_a_bad_batch_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    """The judge's batch norm has met the batch; the checkpoint has not."""

    def damaged(step: int) -> tuple[Tensor, Tensor]:
        x, y = batch(step)
        return (x * math.nan if step == 6 else x), y

    options: dict[str, Any] = {"steps": 12, "out": tmp_path, "checkpoint_every": 0.0}
    with pytest.raises(FloatingPointError, match="step 6 in the turn of judge is nan"):
        run(Game(), damaged, **options)
    whole, resumed = Game(), Game()
    run(whole, batch, steps=12)
    run(resumed, batch, resume=True, **options)
    assert_same_weights(resumed, whole)


def test_numbers_of_players_go_by_their_names(tmp_path: Path) -> None:
    history = run(Game(), data(20), steps=6, batch_size=6, out=tmp_path)
    assert list(history.values) == ["loss", "judge", "judge/slope", "generator"]
    assert history.loss == history.values["judge"]
    assert [math.isnan(x) for x in history.values["generator"]] == [True, False] * 3
    assert list(history.losses) == ["judge", "generator"]
    assert not history.in_sites
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("step", "epoch", "seconds", "lr", "loss", "judge", "judge/slope", "generator"),
        *("held_out_loss", "held_out_bits_per_site"),
    ]
    assert [row["generator"] == "" for row in rows] == [True, False] * 3
    assert (tmp_path / "curves.png").exists()


def test_who_moves_twice_draws_anew_and_has_the_mean_loss() -> None:
    told: list[tuple[str | None, int, float]] = []

    class Twice(Game):
        def turns(self, step: int) -> tuple[str, ...]:
            return ("judge", "judge", "generator")

        def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
            result = super().training_step(batch, step, turn)
            told.append((turn.player, turn.seed, float(result["loss"].detach())))
            return result

    history = run(Twice(), batch, steps=1)
    assert [player for player, _seed, _loss in told] == ["judge", "judge", "generator"]
    assert len({seed for _player, seed, _loss in told}) == 3
    assert history.values["judge"] == [(told[0][2] + told[1][2]) / 2] == history.loss
    assert history.values["generator"] == [told[2][2]]


def test_nobody_moves_where_the_held_out_loss_is_taken() -> None:
    asked: set[tuple[bool, str | None]] = set()

    class Asked(Game):
        def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
            asked.add((self.training, turn.player))
            return super().training_step(batch, step, turn)

    history = run(Asked(), data(20), epochs=3, held_out=data(4), batch_size=8)
    assert asked == {(True, "judge"), (True, "generator"), (False, None)}
    assert len(history.held_out) == 3


def test_progress_shows_every_player(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    history = run(Game(), data(20), steps=5, batch_size=6, progress=True)
    shown = capsys.readouterr().err
    generator = history.values["generator"][3]  # it does not move in the last step
    assert f"judge {history.loss[-1]:.4f}  generator {generator:.4f}" in shown


def test_the_average_of_a_game_is_what_is_left() -> None:
    class Look(Callback):
        def on_stop(self, state: State) -> None:
            raw.update({name: p.detach().clone() for name, p in state.model.named_parameters()})

    raw: dict[str, Tensor] = {}
    model = Game()
    run(model, batch, steps=6, ema=0.9, callbacks=[Look()])
    assert not torch.allclose(model.generator[0].weight, raw["generator.0.weight"])
    assert not torch.allclose(model.judge[0].weight, raw["judge.0.weight"])


def test_parts_of_a_batch_move_a_player_once() -> None:
    """Where rows do not see each other, parts make the move of the whole."""

    class Plain(Game):
        def __init__(self) -> None:
            super().__init__()
            self.generator[1] = self.judge[3] = nn.Identity()

    whole, parts = Plain(), Plain()
    expected = run(whole, batch, steps=12, clip=0.1)
    history = run(parts, batch, steps=12, clip=0.1, accumulate=4)
    for one, other in zip(parts.parameters(), whole.parameters(), strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert history.loss == pytest.approx(expected.loss, rel=1e-5)


def test_a_row_alone_is_refused_by_batch_norm() -> None:
    with pytest.raises(ValueError, match=r"at least 2 values a channel, got 1 .*\(1, 8\).*batch_s"):
        run(Game(), data(7), epochs=1, batch_size=6, held_out=0)


def test_other_players_are_another_run(tmp_path: Path) -> None:
    class Renamed(Game):
        def parameter_groups(self) -> list[dict[str, Any]]:
            names = ("judge", "critic")
            groups = zip(super().parameter_groups(), names, strict=True)
            return [{**group, "player": name} for group, name in groups]

    run(Game(), batch, steps=2, out=tmp_path)
    with pytest.raises(ValueError, match=r"parameter_groups\(\) differs"):
        run(Renamed(), batch, steps=2, out=tmp_path, resume=True)


class Nameless(Game):
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters())}]


class Ruleless(Latents):
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "player": "judge"}]


class Deaf(Game):
    def training_step(self, batch: Any, step: int) -> dict[str, Any]:  # type: ignore[override]
        raise AssertionError("not reached")


class Moved(Game):
    def __init__(self, names: Any) -> None:
        super().__init__()
        self.names = names

    def turns(self, step: int) -> Any:
        return self.names if step == 2 else ("judge",)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Nameless(), r"Nameless has turns: every group of .* must name its player, got one with"),
        (Ruleless(), r"Ruleless must have turns\(step\), as its parameter_groups\(\) name players"),
        (Deaf(), r"Deaf has turns: training_step must take \(batch, step, turn\)"),
        (Moved(("critic",)), r"must name one or more of judge, generator, got \('critic',\) for"),
        (Moved(()), r"Moved.turns must name one or more of .* got \(\) for step 2"),
        (Moved("judge"), r"must name one or more of .* got 'judge' for step 2"),
        (Moved(None), r"must name one or more of .* got None for step 2"),
    ],
    ids=["nameless", "ruleless", "deaf", "unknown", "nobody", "a word", "nothing"],
)
def test_half_a_game_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(model, batch, steps=3)


def test_what_cannot_be_saved_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    class Unsaved(Latents):
        def check_saving(self) -> None:
            raise ValueError("save: encoder must be registered")

        def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
            raise AssertionError("not reached")

    with pytest.raises(ValueError, match="save: encoder must be registered"):
        run(Unsaved(), batch, steps=1, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()
