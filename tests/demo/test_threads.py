"""The choice of threads follows the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from genfast.demo import threads
from genfast.training import State


@pytest.fixture(autouse=True)
def _threads_as_found() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(monkeypatch: pytest.MonkeyPatch, cost: Callable[[int, float], float]) -> list[int]:
    """The thread counts of a minute's steps, when a step on n threads costs `cost(n, now)`."""
    now = 0.0
    monkeypatch.setattr(threads, "perf_counter", lambda: now)
    torch.set_num_threads(2)
    model = nn.Linear(1, 1)
    state = State(model, torch.optim.SGD(model.parameters()))
    callback, used = threads.FasterThreads(), []
    while now < 60:
        used.append(torch.get_num_threads())
        now += cost(used[-1], now)
        callback.on_step(state)
    return used


def test_all_threads_when_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    used = run(monkeypatch, lambda n, now: 0.02 if n == 2 else 0.035)
    assert used.count(2) > 0.95 * len(used)
    assert 1 in used


def test_one_thread_when_the_others_are_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    used = run(monkeypatch, lambda n, now: 0.4 if n == 2 else 0.04)
    assert used.count(1) > 0.95 * len(used)


def test_steps_that_take_forever_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 20 seconds tells enough for minutes, and the run does not begin with four of them."""
    used = run(monkeypatch, lambda n, now: 20.0 if n == 2 else 0.05)
    assert used[:4] == [1] * 4
    assert used.count(2) == 1


def test_the_choice_changes_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    used = run(monkeypatch, lambda n, now: 0.04 if n == 1 else 0.02 if now < 30 else 0.4)
    first, last = used[: len(used) // 3], used[-200:]
    assert first.count(2) > 0.9 * len(first)
    assert last.count(1) > 0.9 * len(last)


def test_one_thread_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: pytest.fail("changed the threads"))
    model = nn.Linear(1, 1)
    state = State(model, torch.optim.SGD(model.parameters()))
    callback = threads.FasterThreads()
    for _ in range(50):
        callback.on_step(state)
    monkeypatch.undo()
