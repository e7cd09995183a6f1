"""Batch norm: torch's in one process; of the joined rows in several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from joint import CASES, of_one
from torch import nn

import genfast
from genfast.nn import BatchNorm1d, BatchNorm2d

HERE = Path(__file__).parent
# Of the largest value: roundings of the arithmetic, over rows that lie 1500 deviations from zero,
# and of a result that is kept in bfloat16.
TOLERANCES = {"float": 2e-6, "far": 2e-3, "half": 2e-2}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """What two processes leave; they are started once."""
    folder = tmp_path_factory.mktemp("joint")
    paths = [str(Path(genfast.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    started = [
        subprocess.Popen(
            [sys.executable, str(HERE / "joint.py"), str(folder), str(rank), "2"],
            env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-3000:]
    first, second = (torch.load(folder / f"{rank}.pt") for rank in range(2))
    return first, second


def joined(name: str, left: tuple[Any, Any]) -> dict[str, torch.Tensor]:
    """Rows of both processes, gradients of weights added up."""
    first, second = left[0][name], left[1][name]
    together = dict(first)
    for key in ("y", "gradient", "evaluated"):
        lent = CASES[name].cut == 0
        together[key] = second[key] if lent else torch.cat([first[key], second[key]])
    for key in first:
        if key.endswith(" gradient"):
            together[key] = first[key] + second[key]
    return together


@pytest.mark.parametrize("name", CASES)
def test_two_processes_normalise_as_one_does(name: str, left: tuple[Any, Any]) -> None:
    """Outputs, gradients of a gradient, running statistics, against torch in float64."""
    two, one = joined(name, left), of_one(CASES[name])
    assert two.keys() == one.keys()
    tolerance = TOLERANCES.get(name, 1e-12)
    for key, expected in one.items():
        if name in TOLERANCES and key.endswith("gradient"):
            continue  # their conditioning is another matter; they are tested in float64
        error = (two[key].double() - expected).abs().max()
        assert error <= tolerance * expected.abs().max(), key


@pytest.mark.parametrize("name", CASES)
def test_processes_remember_the_same(name: str, left: tuple[Any, Any]) -> None:
    for key in ("running_mean", "running_var", "num_batches_tracked"):
        if key in left[0][name]:
            assert torch.equal(left[0][name][key], left[1][name][key])
    assert left[0][name]["y"].dtype == CASES[name].dtype


def test_a_single_row_is_refused_in_every_process(left: tuple[Any, Any]) -> None:
    message = "BatchNorm1d: a training batch must have at least 2 values a channel, got 1 in"
    for rank in (0, 1):
        assert left[rank]["refusal"].startswith(message)


@pytest.mark.parametrize("training", [True, False])
def test_in_one_process_it_is_torch_s(training: bool) -> None:
    """To the bit, with the same state."""
    x = torch.randn(6, 5, 4, 3)
    for ours, theirs, rows in (
        (BatchNorm1d(5), nn.BatchNorm1d(5), x[..., 0, 0]),
        (BatchNorm1d(5), nn.BatchNorm1d(5), x[..., 0]),
        (BatchNorm2d(5, momentum=None), nn.BatchNorm2d(5, momentum=None), x),
    ):
        assert isinstance(ours, type(theirs))
        ours.train(training).load_state_dict(theirs.train(training).state_dict())
        assert torch.equal(ours(rows), theirs(rows))
        for key, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[key], value)


@pytest.mark.parametrize(
    ("norm", "shape"), [(BatchNorm1d(8), (1, 8)), (BatchNorm2d(8), (1, 8, 1, 1))]
)
def test_a_single_row_is_refused(norm: nn.Module, shape: tuple[int, ...]) -> None:
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with pytest.raises(ValueError, match="at least 2 values a channel, got 1 in a batch of size 1"):
        norm(torch.randn(shape))
    for name, value in norm.state_dict().items():
        assert torch.equal(value, before[name])
    assert norm.eval()(torch.randn(shape)).shape == shape


def test_a_wrong_rank_is_torch_s_error() -> None:
    with pytest.raises(ValueError, match="expected 4D input"):
        BatchNorm2d(8)(torch.randn(3, 8))
