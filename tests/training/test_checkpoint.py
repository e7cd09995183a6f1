"""Checkpoints that cannot be gone on from: other options, other models, damage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Regression, data
from torch import nn

from genfast.training import History, fit


def run(model: nn.Module, where: Any, **options: Any) -> History:
    return fit(model, where, **{"lr": 0.05, "batch_size": 8, "progress": False, **options})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["checkpoint.pt", "log.csv", "model.safetensors", "config.json"])
def test_a_folder_with_a_run_is_not_written_to(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("kept")
    with pytest.raises(ValueError, match=rf"holds a run already \({name}\); resume=True"):
        run(Regression(), data(20), epochs=1, out=tmp_path)
    assert contents(tmp_path) == {name: b"kept"}


def test_resume_starts_anew_without_a_checkpoint(tmp_path: Path) -> None:
    history = run(Regression(), data(20), epochs=1, out=tmp_path / "new", resume=True)
    assert (history.steps, history.stopped) == (3, "finished")


@pytest.mark.parametrize(
    ("option", "was", "got"),
    [
        ("epochs", 2, 3),
        ("lr", 0.05, 0.1),
        ("batch_size", 8, 9),
        ("seed", 0, 1),
        ("schedule", "cosine", "constant"),
        ("warmup", 0.05, 0.1),
        ("weight_decay", 0.01, 0.0),
        ("betas", (0.9, 0.999), (0.8, 0.9)),
        ("clip", 1.0, None),
        ("accumulate", 1, 2),
        ("precision", "float32", "bfloat16"),
        ("ema", None, 0.5),
        ("patience", None, 3),
        ("evaluate_every", None, 3),
        ("held_out", None, 0.2),
    ],
)
def test_other_options_are_refused(option: str, was: Any, got: Any, run_kept: Path) -> None:
    before = contents(run_kept)
    with pytest.raises(ValueError, match=f"fit: {option} must be .* in the run that") as error:
        run(Regression(), data(20), out=run_kept, resume=True, **{"epochs": 2, option: got})
    assert f"must be {was!r} as" in str(error.value)
    assert f"got {got!r}" in str(error.value)
    assert contents(run_kept) == before


@pytest.fixture(scope="module")
def run_kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    run(Regression(), data(20), epochs=2, out=folder)
    return folder


def test_other_data_and_other_models_are_refused(run_kept: Path) -> None:
    options: dict[str, Any] = {"epochs": 2, "out": run_kept, "resume": True}
    with pytest.raises(ValueError, match="batches of an epoch must be 3 as in the run"):
        run(Regression(), data(40), **options)

    class Wider(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 1)

    with pytest.raises(ValueError, match=r"linear.weight is float32 \(1, 3\) .*got float32 \(1, 4"):
        run(Wider(), data(20), **options)

    class Grouped(Regression):
        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": [self.linear.bias, self.linear.weight]}]

    with pytest.raises(ValueError, match=r"parameter_groups\(\) differs"):
        run(Grouped(), data(20), **options)


def test_a_checkpoint_of_before_there_were_players_is_gone_on_from(tmp_path: Path) -> None:
    run(Regression(), data(20), epochs=1, out=tmp_path)
    older = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del older["fingerprint"]["players"]
    del older["run"]["history"]["players"]
    torch.save(older, tmp_path / "checkpoint.pt")
    assert run(Regression(), data(20), epochs=1, out=tmp_path, resume=True).steps == 3


def test_a_run_of_constant_rate_is_not_extended_in_its_warm_up(tmp_path: Path) -> None:
    options: dict[str, Any] = {"schedule": "constant", "warmup": 0.5, "out": tmp_path}
    run(Regression(), data(20), steps=4, **options)
    with pytest.raises(ValueError, match=r"steps must be 4 .* got 9; only a run whose rate is"):
        run(Regression(), data(20), steps=9, resume=True, **options)


def damages(whole: bytes) -> Iterator[bytes]:
    yield b""
    yield b"not a checkpoint"
    yield whole[: len(whole) // 2]
    yield whole[:-1]
    generator = torch.Generator().manual_seed(0)
    for at in torch.randint(len(whole), (40,), generator=generator).tolist():
        yield whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]


def test_a_damaged_checkpoint_gets_one_line(run_kept: Path, tmp_path: Path) -> None:
    """A changed byte is refused, or was one that says nothing."""
    expected = Regression()
    run(expected, data(20), epochs=2, out=run_kept, resume=True)
    refusals = []
    for damage in damages((run_kept / "checkpoint.pt").read_bytes()):
        (tmp_path / "checkpoint.pt").write_bytes(damage)
        model = Regression()
        try:
            run(model, data(20), epochs=2, out=tmp_path, resume=True)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert torch.equal(model.linear.weight, expected.linear.weight)
            for path in tmp_path.iterdir():
                path.unlink()
    assert len(refusals) > 20
    for line in refusals:
        assert "checkpoint.pt is damaged or no checkpoint of fit" in line
        assert "\n" not in line


@pytest.mark.parametrize("foreign", [{"model": {}}, [1, 2], torch.ones(3), {"format": 1}])
def test_a_foreign_checkpoint_gets_one_line(foreign: Any, tmp_path: Path) -> None:
    torch.save(foreign, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="is damaged or no checkpoint of fit"):
        run(Regression(), data(20), epochs=2, out=tmp_path, resume=True)


def test_a_checkpoint_of_another_format_says_so(tmp_path: Path) -> None:
    torch.save({"format": 2}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint.pt must have format 1, got 2"):
        run(Regression(), data(20), epochs=2, out=tmp_path, resume=True)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "hacked"),)

    torch.save({"format": 1, "run": Hostile()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="is damaged or no checkpoint of fit"):
        run(Regression(), data(20), epochs=2, out=tmp_path, resume=True)
    assert not (tmp_path / "hacked").exists()
