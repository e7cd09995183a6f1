"""The folder of a run: what it holds."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Kill, KilledError, Regression, data, sentences, small_lstm
from torch import nn

import genfast
from genfast.training import History, fit

HERE = Path(__file__).parent


class Saved(Regression):
    """A model that can be saved; what it was told is written down."""

    told: list[tuple[dict[str, Any], torch.Tensor]]

    def save(self, path: Path, figures: Any = None) -> None:
        Saved.told.append((figures, self.linear.weight.detach().clone()))


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    Saved.told = []


def run(model: nn.Module, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.05, "batch_size": 8, "progress": False, **options})


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_its_files_and_no_others(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "first"
    history = run(small_lstm(), sentences(), epochs=3, out=out)
    own = {"checkpoint.pt", "log.csv", "curves.png"}
    assert own | {"config.json", "model.safetensors", "README.md"} == set(os.listdir(out))
    loaded = genfast.load(out)
    assert loaded.figures["held_out_bits_per_site"] == history.held_out[-1][1] / math.log(2)
    assert (loaded.figures["steps"], loaded.figures["epochs"]) == (history.steps, 3)


def test_log_has_a_row_for_every_step(tmp_path: Path) -> None:
    history = run(small_lstm(), sentences(20), epochs=2, out=tmp_path, evaluate_every=2)
    rows = rows_of(tmp_path)
    assert list(rows[0]) == [
        *("step", "epoch", "seconds", "lr", "loss", "sites"),
        *("held_out_loss", "held_out_bits_per_site"),
    ]
    assert [int(row["step"]) for row in rows] == list(range(1, 7))
    assert [int(row["epoch"]) for row in rows] == [1, 1, 1, 2, 2, 2]
    assert [float(row["loss"]) for row in rows] == history.loss
    assert [float(row["lr"]) for row in rows] == history.rates
    assert [float(row["seconds"]) for row in rows] == history.times
    held = {int(row["step"]): row for row in rows if row["held_out_loss"]}
    assert {step: float(row["held_out_loss"]) for step, row in held.items()} == dict(
        history.held_out
    )
    assert float(held[4]["held_out_bits_per_site"]) == history.held_out[1][1] / math.log(2)


def test_bits_are_left_out_where_the_loss_is_none(tmp_path: Path) -> None:
    run(Regression(), data(20), epochs=1, out=tmp_path)
    rows = rows_of(tmp_path)
    assert rows[-1]["held_out_loss"]
    assert not any(row["held_out_bits_per_site"] for row in rows)


def test_rows_later_than_the_checkpoint_disappear(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run(Regression(), data(20), steps=30, out=tmp_path, callbacks=[Kill(17)], held_out=0)
    assert len(rows_of(tmp_path)) == 15
    with (tmp_path / "log.csv").open("a") as file:
        file.write("16,6,0.1,0.2,0.3\n17,6,0.")
    options: dict[str, Any] = {"steps": 30, "held_out": 0, "resume": True, "out": tmp_path}
    history = run(Regression(), data(20), **options)
    assert [float(row["loss"]) for row in rows_of(tmp_path)] == history.loss


def test_curves_are_a_picture(tmp_path: Path) -> None:
    from PIL import Image

    run(small_lstm(), sentences(), epochs=3, out=tmp_path)
    with Image.open(tmp_path / "curves.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) >= 400
        assert len(set(picture.convert("L").tobytes())) > 50


def test_the_model_is_saved_when_it_is_measured_and_at_the_end(tmp_path: Path) -> None:
    model = Saved()
    history = run(model, data(20), epochs=2, out=tmp_path, ema=0.9)
    steps = [figures["steps"] for figures, _weight in Saved.told]
    assert steps == [0, 3, 6, 6]
    losses = [figures.get("held_out_loss") for figures, _weight in Saved.told]
    assert losses == [None, *(loss for _, loss in history.held_out), history.held_out[-1][1]]
    assert torch.equal(Saved.told[-1][1], model.linear.weight)
    assert torch.equal(Saved.told[-2][1], model.linear.weight)


def test_with_patience_only_better_models_are_saved(tmp_path: Path) -> None:
    options: dict[str, Any] = {"lr": 2.0, "schedule": "constant", "warmup": 0.0}
    model = Saved(dropout=0.0)
    history = run(model, data(20), epochs=30, out=tmp_path, patience=4, **options)
    best = min(loss for _, loss in history.held_out)
    losses = [figures["held_out_loss"] for figures, _weight in Saved.told[1:]]
    assert losses == [*sorted(set(losses), reverse=True), best]
    assert torch.equal(Saved.told[-1][1], model.linear.weight)


def test_a_model_that_cannot_be_saved_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    class Refused(Regression):
        def save(self, path: Path, figures: Any = None) -> None:
            raise ValueError("save: no")

    model = Refused()
    with pytest.raises(ValueError, match="save: no"):
        run(model, data(20), epochs=1, out=tmp_path)
    assert not model.steps_seen
    assert not list(tmp_path.iterdir())
