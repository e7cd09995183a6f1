"""Arguments of a SequenceModel: bounds, types, symbols, and to JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from genfast.data import Bytes, Vocabulary
from genfast.files.limits import MOST_CLASSES, MOST_DEPTH, MOST_WIDTH
from genfast.heads import Categorical, head_from_config
from genfast.models import SequenceModel

FIVE = Vocabulary("abcde")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru", "depth": 3, "embedding_width": 2, "dropout": 0.25},
        {"start": "zeros", "symbols": FIVE},
        {"start": 4},
    ],
    ids=str,
)
def test_config_is_json_that_makes_the_model_again(options: dict[str, Any]) -> None:
    model = SequenceModel(Categorical(5), width=3, **options)
    config = model.config()
    made = SequenceModel.from_config(json.loads(json.dumps(config)))
    assert made.config() == config
    assert repr(made) == repr(model)
    assert made.symbols == options.get("symbols")
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    assert {name: t.shape for name, t in made.state_dict().items()} == shapes


def test_config_has_every_argument() -> None:
    assert SequenceModel(Categorical(256), width=4, symbols=Bytes()).config() == {
        "head": {"class": "Categorical", "classes": 256},
        "cell": "lstm",
        "width": 4,
        "depth": 1,
        "embedding_width": 4,
        "dropout": 0.0,
        "start": "learnt",
        "symbols": {"kind": "bytes"},
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": MOST_WIDTH + 1}, "width must be at most 65536, got 65537"),
        ({"depth": MOST_DEPTH + 1}, "depth must be at most 1024, got 1025"),
        ({"embedding_width": MOST_WIDTH + 1}, "embedding_width must be at most 65536, got 65537"),
        ({"width": True}, "width must be an integer, got True"),
        ({"depth": 2.0}, "depth must be an integer, got 2.0"),
        ({"embedding_width": "4"}, "embedding_width must be an integer, got '4'"),
        ({"dropout": False}, r"dropout must be in \[0, 1\), got False"),
        ({"dropout": float("nan")}, r"dropout must be in \[0, 1\), got nan"),
        ({"start": True}, "start must be 'learnt', 'zeros' or a symbol below 5, got True"),
        ({"symbols": Bytes()}, "symbols must be 5, as the head's classes, got 256"),
        ({"symbols": "abcde"}, "symbols must be a Vocabulary or Bytes, got a str"),
    ],
)
def test_refused_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"SequenceModel: {message}"):
        SequenceModel(Categorical(5), **options)


def test_the_largest_sizes_are_taken() -> None:
    with torch.device("meta"):
        model = SequenceModel(Categorical(MOST_CLASSES), width=MOST_WIDTH, depth=2)
    assert model.readout.weight.shape == (2**24, 65_536)


@pytest.mark.parametrize("classes", [True, 2.0, "2", None])
def test_classes_that_are_no_integer(classes: Any) -> None:
    with pytest.raises(ValueError, match="Categorical: classes must be an integer, got"):
        Categorical(classes)


def test_more_classes_than_a_head_may_have() -> None:
    with pytest.raises(ValueError, match="classes must be at most 16777216, got 16777217"):
        Categorical(MOST_CLASSES + 1)


@pytest.mark.parametrize(
    "config", [None, [], {}, {"class": "Bernoulli"}, {"class": {}}, {"class": "Categorical"}]
)
def test_heads_that_are_none(config: Any) -> None:
    with pytest.raises(ValueError, match=r"head: class must be|Categorical: config must"):
        head_from_config(config)


def test_unknown_and_missing_keys() -> None:
    config = SequenceModel(Categorical(5), width=3).config()
    with pytest.raises(ValueError, match="SequenceModel: argument 'layers' is unknown"):
        SequenceModel.from_config(config | {"layers": 1})
    config.pop("dropout")
    with pytest.raises(ValueError, match="SequenceModel: argument 'dropout' is missing"):
        SequenceModel.from_config(config)


def test_training_step_says_how_many_sites_its_loss_is_a_mean_of() -> None:
    model = SequenceModel(Categorical(5), width=3)
    tokens = torch.randint(5, (4, 6))
    assert model.training_step(tokens, 0)["sites"] == 24
    step = model.training_step((tokens, torch.tensor([0, 1, 5, 6])), 0)
    assert int(step["sites"]) == 12
    nothing = model.training_step((tokens, torch.zeros(4, dtype=torch.int64)), 0)
    assert (nothing["loss"].item(), int(nothing["sites"])) == (0.0, 0)
