"""A VAE in `fit`: its noise is the step's and the row's, in parts, processes and resumed runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from vae_run import data, trained

import genfast
from genfast.models import VAE
from genfast.training import Callback, State

pytestmark = pytest.mark.usefixtures("one_thread")


def close(one: VAE, other: dict[str, Any], rtol: float) -> bool:
    """Whether weights differ by no more than a share of the largest of them."""
    return all(
        (weight - other[name]).abs().max() <= rtol * weight.abs().max()
        for name, weight in one.state_dict().items()
    )


class Stop(Callback):
    """Ends the run after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step(self, state: State) -> None:
        state.stop = state.step == self.steps


def test_the_history_has_every_number() -> None:
    _, history = trained()
    assert set(history.values) == {"loss", "sites", "kl", "reconstruction"}
    assert history.in_sites
    assert history.values["sites"][:9] == [210.0] * 8 + [150.0]
    paid, told = history.values["loss"][0] * 30, history.values["kl"][0]
    assert paid >= history.values["reconstruction"][0] + told - 1e-3
    assert history.loss[-1] < history.loss[0] - 0.1


def test_a_run_is_its_seed_s() -> None:
    first, second = trained()[0], trained()[0]
    assert close(first, second.state_dict(), 0.0)
    assert not close(first, trained(seed=6)[0].state_dict(), 1e-3)


def test_parts_of_a_batch_meet_the_noise_of_the_whole() -> None:
    assert close(trained()[0], trained(accumulate=3)[0].state_dict(), 1e-5)


@pytest.mark.parametrize("steps", [1, 11])
def test_a_resumed_run_ends_in_the_same_weights(steps: int, tmp_path: Path) -> None:
    whole = trained()[0]
    trained(out=tmp_path, callbacks=[Stop(steps)])
    resumed, history = trained(out=tmp_path, resume=True)
    assert history.steps == 20
    assert close(resumed, whole.state_dict(), 0.0)
    assert close(genfast.load(tmp_path), whole.state_dict(), 0.0)


def test_half_precision_trains_as_well() -> None:
    _, whole = trained()
    _, half = trained(precision="bfloat16")
    assert half.loss[-1] == pytest.approx(whole.loss[-1], rel=0.05)
    assert half.loss[-1] < half.loss[0] - 0.1


def test_the_held_out_loss_is_the_same_each_time() -> None:
    _, history = trained(held_out=data(), evaluate_every=1, lr=1e-12, steps=3, weight_decay=0.0)
    losses = [loss for _, loss in history.held_out]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(losses[2], rel=1e-5)


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    """Each with its rows of every batch, after 20 steps."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("vae_run.py")
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "weights.pt")],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    joint = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert close(trained()[0], joint, 1e-5)
