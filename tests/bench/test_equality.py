"""Every rival draws what the float64 oracle allows, and the check notices one that does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bench import bench_export, exported_side, rivals_onnx, rivals_torch
from bench.equality import Checker, distribution, replay
from bench.exported_side import EXPORTED, SEEDED
from bench.task import Task, forced_scores, make_uniforms, make_weights

TASKS = [
    Task("lstm", 17, 2, 3, 5),
    Task("gru", 17, 2, 3, 5),
    Task("gru", 2, 1, 1),
    Task("lstm", 129, 1, 2),
]


def rivals(task, weights, threads=1):
    """All but the compiled ones, which take seconds each."""
    graphs = rivals_onnx.offers(task, bench_export.ENGINES, bench_export.FORMS)
    for module, offers in ((rivals_onnx, graphs), (rivals_torch, rivals_torch.offers(task))):
        for kind, engine, form in offers:
            if engine != "torch.compile":
                yield module.build(task, weights, kind, engine, form, threads)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_rivals_draw_what_the_oracle_allows(task):
    weights, uniforms = make_weights(task, 1), make_uniforms(task, 40, 2)
    checker = Checker(task, weights, uniforms)
    made = list(rivals(task, weights))
    for rival in made:
        assert checker.check(rival.draw(uniforms))["draws"] == uniforms.size
    engines = {"onnx step", "onnx scan", "onnx loop", "torch eager"}
    assert {rival.engine for rival in made} == engines


@pytest.mark.parametrize("task", TASKS[:2], ids=lambda task: task.name)
def test_exports_draw_what_the_oracle_allows(task):
    weights, uniforms = make_weights(task, 1), exported_side.uniforms(task, 40)
    checker = Checker(task, weights, uniforms)
    made = list(exported_side.contenders(task, weights, (1,)))
    for contender in made:
        assert checker.check(contender.draw(uniforms))["draws"] == uniforms.size
        assert np.array_equal(contender.draw(uniforms[:, :7]), contender.draw(uniforms)[:, :7])
    assert [contender.kind for contender in made] == [EXPORTED, SEEDED]


@pytest.mark.parametrize("task", TASKS[:2], ids=lambda task: task.name)
def test_a_second_draw_starts_anew(task):
    weights, uniforms = make_weights(task, 1), make_uniforms(task, 9, 2)
    for rival in rivals(task, weights):
        assert np.array_equal(rival.draw(uniforms), rival.draw(uniforms)), rival.key


@pytest.mark.parametrize("task", TASKS[:2], ids=lambda task: task.name)
def test_check_refuses_other_weights(task):
    weights, uniforms = make_weights(task, 1), make_uniforms(task, 200, 2)
    layer = weights.layers[1]
    wrong = dataclasses.replace(layer, b_hh=layer.b_hh + np.float32(0.05))
    broken = dataclasses.replace(weights, layers=(weights.layers[0], wrong))
    draw = rivals_torch.build(task, broken, "", "torch eager", "cell", 1).draw
    with pytest.raises(AssertionError, match="outside"):
        Checker(task, weights, uniforms).check(draw(uniforms))


@pytest.mark.parametrize("step", [-1, 1])
def test_replay_counts_one_wrong_draw(step):
    task = TASKS[0]
    weights, uniforms = make_weights(task, 1), make_uniforms(task, 12, 2)
    draw = rivals_torch.build(task, weights, "", "torch eager", "cell", 1).draw
    symbols = draw(uniforms).copy()
    row = int(np.flatnonzero((symbols[:, -1] + step >= 0) & (symbols[:, -1] + step < 5))[0])
    assert replay(task, weights, uniforms, symbols).holds
    symbols[row, -1] += step
    found = replay(task, weights, uniforms, symbols)
    assert (found.outside, found.draws) == (1, uniforms.size)


def test_replay_names_a_symbol_out_of_range():
    task = TASKS[0]
    uniforms = make_uniforms(task, 3)
    with pytest.raises(ValueError, match=r"in \[0, 5\)"):
        replay(task, make_weights(task), uniforms, np.full((3, 3), 5))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_oracle_is_torch_in_float64(cell):
    task = Task(cell, 17, 2, 3, 5)
    weights = make_weights(task, 3)
    symbols = np.random.default_rng(4).integers(0, 5, (3, 11))
    scores = np.stack(list(forced_scores(task, weights, symbols, np.float64)), 1)
    rnn = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](17, 17, 2, batch_first=True).double()
    names = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
    for j, layer in enumerate(weights.layers):
        for ours, theirs in names.items():
            getattr(rnn, f"{theirs}_l{j}").data.copy_(torch.from_numpy(getattr(layer, ours)))
    seen = np.concatenate([np.full((3, 1), 5), symbols[:, :-1]], 1)
    features = rnn(torch.from_numpy(weights.embed[seen]).double())[0].detach().numpy()
    expected = features @ weights.readout.T.astype(np.float64) + weights.bias
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)


def test_distribution_ends_at_one():
    sums = distribution(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    np.testing.assert_allclose(sums, [[0, 0.5, 1], [0, 1, 1]])
