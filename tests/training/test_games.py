"""GANs under `fit`: resumed to the bit, and in two processes as in one."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from games import GAMES, examples, game, trained
from small import Kill, KilledError
from test_distributed import HERE, TORCHRUN, assert_close, launch, read
from torch import Tensor, nn

import genfast
from genfast import GAN
from genfast.training import fit


@pytest.mark.parametrize("name", GAMES)
def test_killed_runs_resume_to_the_bit(name: str, tmp_path: Path) -> None:
    whole, history = trained(name)
    kills = sorted(random.Random(name).sample(range(1, 20), 2))
    options: dict[str, Any] = {"out": tmp_path, "resume": True, "checkpoint_every": 0.0}
    for kill in kills:
        with pytest.raises(KilledError):
            trained(name, callbacks=[Kill(kill)], **options)
    model, resumed = trained(name, **options)
    for key, weight in whole.state_dict().items():
        assert torch.equal(model.state_dict()[key], weight), key
    assert resumed.loss == history.loss
    assert resumed.held_out == history.held_out


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave of every game; they are started once."""
    folder = tmp_path_factory.mktemp("games")
    launch(*TORCHRUN, str(HERE / "games.py"), str(folder), *GAMES)
    return folder


@pytest.mark.parametrize("name", GAMES)
def test_two_processes_agree_with_one(name: str, left: Path) -> None:
    two = read(left, name)
    model, history = trained(name)
    for key, weight in model.state_dict().items():
        assert_close(two["weights"][key].double(), weight.double())
        assert torch.equal(read(left, name, rank=1)["weights"][key], two["weights"][key])
    assert_close(two["history"]["values"]["loss"], torch.tensor(history.loss).double())
    steps, losses = torch.tensor(two["history"]["held_out"], dtype=torch.float64).T
    assert steps.tolist() == [step for step, _loss in history.held_out]
    assert_close(losses, torch.tensor([loss for _step, loss in history.held_out]).double())


def test_a_history_has_both_players(tmp_path: Path) -> None:
    _, history = trained("dcgan with classes", out=tmp_path)
    values = history.values
    assert values["loss"] == values["discriminator"]
    assert {"discriminator/real", "discriminator/fake", "discriminator/penalty"} <= set(values)
    assert [math.isnan(value) for value in values["generator"]] == [True, False] * 10
    assert genfast.load(tmp_path).figures["steps"] == 20


class Poisoned(nn.Module):
    """A discriminator that says NaN from the 5th of its scores on."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.ones(2)), calls

    def forward(self, x: Tensor) -> Tensor:
        self.calls -= 1
        return x @ self.weight * (1.0 if self.calls >= 0 else torch.nan)


@pytest.mark.parametrize(("calls", "player"), [(6, "discriminator"), (8, "generator")])
def test_the_player_and_the_step_of_a_nan_are_named(calls: int, player: str) -> None:
    """A step asks for three scores: of the data, of fakes, and again of fakes."""
    model = GAN((2,), latent=2, width=4, discriminator=Poisoned(calls))
    with pytest.raises(FloatingPointError, match=f"step 2 .*{player}"):
        fit(model, torch.randn(8, 2), steps=5, held_out=0.0, progress=False)


def test_a_network_that_cannot_be_saved_is_refused_before_the_first_step(tmp_path: Path) -> None:
    model = GAN((2,), latent=2, width=4, discriminator=Poisoned(100))
    with pytest.raises(ValueError, match="GAN: discriminator must be of a class"):
        fit(model, torch.randn(8, 2), steps=5, progress=False, out=tmp_path / "run")
    assert model.discriminator.calls == 100


def test_parts_of_a_batch_are_the_batch() -> None:
    """Without batch normalisation, which looks at a part by itself."""
    whole, _ = trained("mlp", steps=6)
    parts, _ = trained("mlp", steps=6, accumulate=3)
    for key, weight in whole.named_parameters():
        assert_close(parts.get_parameter(key), weight)


def test_examples_are_as_they_were() -> None:
    model = game("mlp")
    x = examples(model)
    assert isinstance(x, Tensor)
    before = x.clone()
    fit(model, x, steps=3, progress=False)
    assert torch.equal(x, before)
    assert not x.requires_grad
