"""`genfast bench` times what it found equal, and says so in a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import genfast
from genfast.commands import bench
from genfast.demo import timing

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_MOST", 30)
    monkeypatch.setattr(timing, "_REPEATS", 1)


def rows(out: str) -> list[list[str]]:
    """Cells of the table's lines: batch, genfast, ONNX Runtime, PyTorch, floor, form."""
    lines = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    return [cells for cells in lines if cells[0] in ("1", "16", "64")]


def number(cell: str) -> float:
    return float(cell.split(maxsplit=1)[0].replace(",", ""))


def test_a_run_is_timed(characters: Path, genfast_command: Command) -> None:
    said = genfast_command("bench", characters)
    assert said.status == 0
    assert f"{characters}: LSTM 1x17, 15 symbols, " in said.out
    table = rows(said.out)
    assert [cells[0] for cells in table] == ["1", "16", "64"]
    for _, ours, onnx, plain, floor, form in table:
        assert number(onnx) / number(ours) == pytest.approx(ratio(onnx), rel=0.1, abs=0.1)
        assert number(plain) / number(ours) == pytest.approx(ratio(plain), rel=0.1, abs=0.1)
        assert 0 <= number(floor) < number(plain)
        assert form.startswith(("nn.LSTM on 1 thread", "torch.lstm_cell on 1 thread"))
    assert "Before timing all drew from the same numbers" in said.out


def ratio(cell: str) -> float:
    """What stands in the brackets."""
    return float(cell.split("(")[1].removesuffix("x)"))


def test_a_fresh_model_has_the_size_asked_for(
    genfast_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    words = ("--cell", "gru", "--width", 9, "--depth", 2, "--classes", 5)
    said = genfast_command("bench", *words)
    assert "A fresh model: GRU 2x9, 5 symbols, " in said.out
    assert "onnxruntime is not installed: the exported sampler is not timed." in said.out
    assert all(cells[2] == "not timed" for cells in rows(said.out))


def test_other_draws_are_not_timed(
    genfast_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled from weights that the plain loop does not have."""
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    sample = genfast.SequenceModel.sample

    def shifted(self: genfast.SequenceModel, *arguments: Any, **options: Any) -> Any:
        out = sample(self, *arguments, **options)
        out.values[:] = (out.values + 1) % 5
        return out

    monkeypatch.setattr(genfast.SequenceModel, "sample", shifted)
    said = genfast_command("bench", "--width", 9, "--classes", 5)
    assert said.status == 1
    assert "the compiled draw must agree with PyTorch" in said.err
    assert said.err.count("\n") == 1
    assert not rows(said.out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["/no/such/folder"], "no folder /no/such/folder"),
        (["--width", 0], "width must be at least 1, got 0"),
        (["--depth", 0], "depth must be at least 1, got 0"),
        (["--classes", 0], "classes must be at least 1, got 0"),
        (["--seed", -1], "seed must be at least 0"),
    ],
    ids=str,
)
def test_bad_options(words: list[object], message: str, refused: Command) -> None:
    assert message in refused("bench", *words)
