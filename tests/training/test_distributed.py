"""Two processes train as one does: gradients, losses, held-out data, stopping, resuming."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from parallel import SCENARIOS
from small import data, small_lstm
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import genfast
from genfast.training import fit

HERE = Path(__file__).parent
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

# Its --cpu starts one process, unless there is MPI; its --multi_gpu asks nobody for a GPU.
ACCELERATE = (
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
)


def launch(*command: str, timeout: float = 240) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    paths = [str(Path(genfast.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *command],
        env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave of every scenario; they are started once."""
    folder = tmp_path_factory.mktemp("parallel")
    launch(*TORCHRUN, str(HERE / "parallel.py"), str(folder), *SCENARIOS)
    return folder


def read(left: Path, name: str, rank: int = 0) -> Any:
    return torch.load(left / f"{name} {rank}.pt", weights_only=True)


def assert_close(one: torch.Tensor, other: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Within 1e-5 of the largest, which is what a sum in another order may cost."""
    assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize(
    "name",
    [
        *("lengths", "accumulate", "average", "clip", "loader", "idle weights"),
        *("latents", "latents in parts", "game", "game in parts"),
    ],
)
def test_two_processes_agree_with_one(name: str, left: Path, tmp_path: Path) -> None:
    two = read(left, name)
    model, history = SCENARIOS[name](tmp_path)
    for key, weight in model.state_dict().items():
        if key != "mean":  # of the rows of process 0 alone
            tolerance = 1e-5 if weight.dtype == torch.float32 else 1e-11
            assert_close(two["weights"][key], weight, tolerance)
    for key in ("steps", "epoch_steps", "stopped"):
        assert two["history"][key] == getattr(history, key)
    for key, losses in history.losses.items():
        expected = torch.tensor(losses, dtype=torch.float64)
        assert_close(two["history"]["values"][key].nan_to_num(), expected.nan_to_num())
    steps, losses = torch.tensor(two["history"]["held_out"], dtype=torch.float64).T
    assert steps.tolist() == [step for step, _loss in history.held_out]
    assert_close(losses, torch.tensor([loss for _step, loss in history.held_out]))
    if history.in_sites:
        assert two["history"]["values"]["sites"].tolist() == history.values["sites"]


def test_a_game_in_float32_agrees_as_a_whole(left: Path, tmp_path: Path) -> None:
    """Adam makes much of the rounding of small gradients: weights near zero differ by more."""
    two = read(left, "game in float32")
    model, _ = SCENARIOS["game in float32"](tmp_path)
    expected = nn.utils.parameters_to_vector(model.parameters())
    weights = [two["weights"][name] for name, _ in model.named_parameters()]
    assert_close(nn.utils.parameters_to_vector(weights), expected)


@pytest.mark.parametrize("name", SCENARIOS)
def test_processes_end_alike(name: str, left: Path) -> None:
    first, second = read(left, name), read(left, name, rank=1)
    for key, weight in first["weights"].items():
        assert torch.equal(weight, second["weights"][key])
    assert first["history"]["held_out"] == second["history"]["held_out"]
    loss = first["history"]["values"]["loss"]
    assert torch.equal(loss, second["history"]["values"]["loss"])


def test_process_0_decides_when_to_stop(left: Path) -> None:
    for rank in (0, 1):
        history = read(left, "stop", rank)["history"]
        assert (history["steps"], history["stopped"]) == (6, "callback")


def test_all_start_from_the_weights_of_process_0(left: Path, tmp_path: Path) -> None:
    model, _ = SCENARIOS["first weights"](tmp_path)
    assert_close(read(left, "first weights")["weights"]["shift"], model.state_dict()["shift"])


@pytest.mark.parametrize(
    ("name", "cut", "out"), [("uninterrupted", "kept", "run"), ("game", "game kept", "game")]
)
def test_two_processes_resume_to_the_bit(name: str, cut: str, out: str, left: Path) -> None:
    kept, uninterrupted = read(left, cut), read(left, name)
    for key, weight in uninterrupted["weights"].items():
        assert torch.equal(weight, kept["weights"][key])
    assert torch.equal(
        kept["history"]["values"]["loss"], uninterrupted["history"]["values"]["loss"]
    )
    assert (left / out / "log.csv").read_text().count("\n") == 21


def test_dropout_is_each_process_s_own(left: Path, tmp_path: Path) -> None:
    _, history = SCENARIOS["uninterrupted"](tmp_path)
    two = read(left, "uninterrupted")["history"]["values"]["loss"]
    assert (two - torch.tensor(history.loss, dtype=torch.float64)).abs().max() > 1e-4


@pytest.mark.slow
def test_accelerate_launch(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    launch(*ACCELERATE, str(HERE / "parallel.py"), str(tmp_path), "lengths")
    model, _ = SCENARIOS["lengths"](tmp_path)
    for key, weight in model.named_parameters():
        assert_close(read(tmp_path, "lengths", rank=1)["weights"][key], weight)


def test_a_sampler_that_cuts_the_batch_is_refused() -> None:
    examples = TensorDataset(*data(8))
    sampler: Any = DistributedSampler(examples, num_replicas=2, rank=0)
    loader = DataLoader(examples, sampler=sampler)
    with pytest.raises(ValueError, match="data must give every process the whole batch"):
        fit(small_lstm(), loader, epochs=1, progress=False)
