"""Replay holds for every instruction set and option, and fails when something is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from genfast import compiled as compiled_module
from genfast._extension import core
from genfast.compiled import Compiled, compiled
from genfast.heads import Categorical, DrawOptions
from genfast.models import SequenceModel
from genfast.random import fill_uniforms
from genfast.sampling import Request, sample
from genfast.session import Session
from genfast.testing import Sites, check_draws, check_scores, joined, replay, replay_drawn

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "temperature 0": {"temperature": 0},
    "temperature 0.1": {"temperature": 0.1},
    "top-k": {"top_k": 4},
    "top-p": {"top_p": 0.7, "temperature": 1.5},
    "both": {"top_k": 9, "top_p": 0.8},
    "stop": {"stop": 3},
    "prompts": {
        "prompt": torch.arange(112).view(16, 7) % 23,
        "prompt_lengths": torch.arange(16) % 8,
        "stop": 5,
    },
    "rows": {
        "temperature": torch.linspace(0, 2, 16),
        "top_k": torch.arange(16),
        "top_p": torch.linspace(0.1, 1, 16),
        "seed": torch.arange(16) * 1000,
    },
}


def model_of(
    cell: str = "lstm", depth: int = 1, width: int = 29, classes: int = 23
) -> SequenceModel:
    torch.manual_seed(depth)
    model = SequenceModel(
        Categorical(classes), cell=cell, width=width, depth=depth, embedding_width=13
    )
    # Scores as wide as those of a trained model.
    for parameter in model.parameters():
        parameter.data *= 3
    return model


@pytest.mark.parametrize("isa", core.isas())
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_replay(monkeypatch: Any, isa: str, cell: str, depth: int, name: str) -> None:
    monkeypatch.setenv("GENFAST_ISA", isa)
    model = model_of(cell, depth)
    report = replay(model, 16, 24, seed=OPTIONS[name].get("seed", 5), **_without_seed(name))
    assert compiled(model).executor.isa == isa
    assert report.backend == "cpu"
    assert report.skipped == 0
    assert report.equal_samples >= 15 / 16
    assert report.sites == 16 * 24 or "stop" in OPTIONS[name]


def _without_seed(name: str) -> dict[str, Any]:
    return {key: value for key, value in OPTIONS[name].items() if key != "seed"}


@pytest.mark.parametrize("isa", core.isas())
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("width", "classes"), [(1, 2), (17, 1), (128, 129), (100, 300)])
def test_replay_of_odd_sizes(
    monkeypatch: Any, isa: str, cell: str, width: int, classes: int
) -> None:
    monkeypatch.setenv("GENFAST_ISA", isa)
    replay(model_of(cell, 2, width, classes), 5, 30, seed=9, top_k=11)


def test_replay_of_the_reference() -> None:
    report = replay(model_of(), 4, 12, backend="reference", top_p=0.8)
    assert (report.backend, report.equal_samples) == ("reference", 1.0)


def plant(monkeypatch: Any, model: SequenceModel, other: SequenceModel) -> None:
    """Makes the compiled backend draw from the weights of `other`."""
    kept = compiled(other)
    monkeypatch.setitem(
        compiled_module._KEPT, model, (Compiled(kept.program, kept.executor, compiled(model).key),)
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_one_wrong_weight_is_found(monkeypatch: Any, options: str) -> None:
    model, other = model_of(), model_of()
    other.rnn.weight_hh_l0.data[40, 7] += 0.05
    plant(monkeypatch, model, other)
    with pytest.raises(AssertionError, match=r"replay: row \d+, site \d+: score of class"):
        replay(model, whole=False, **OPTIONS[options])


@pytest.mark.parametrize("options", OPTIONS)
def test_draws_alone_find_wrong_weights(monkeypatch: Any, options: str) -> None:
    model, other = model_of(), model_of()
    other.readout.weight.data += 0.1 * torch.randn(other.readout.weight.shape)
    plant(monkeypatch, model, other)
    monkeypatch.setattr("genfast.testing.sequences.check_scores", lambda *arguments: 0.0)
    with pytest.raises(AssertionError, match=r"replay: row \d+, site \d+: drew class"):
        replay(model, whole=False, **OPTIONS[options])


def test_draws_of_other_uniforms_are_found(monkeypatch: Any) -> None:
    """Those of the next draw."""
    monkeypatch.setattr(
        "genfast.session.fill_uniforms",
        lambda seeds, indices, first, out: fill_uniforms(seeds, indices, first + 1, out),
    )
    with pytest.raises(AssertionError, match="drew class"):
        replay(model_of(), whole=False)


@pytest.mark.parametrize(
    "options", [{"temperature": 0.5}, {"temperature": 0}, {"top_k": 3}, {"top_p": 0.5}]
)
def test_options_that_are_ignored_are_found(monkeypatch: Any, options: dict[str, Any]) -> None:
    drawn = model_of().sample(16, 64, seed=0, backend="cpu")
    monkeypatch.setattr("genfast.testing.sequences.sample", lambda *arguments, **named: drawn)
    with pytest.raises(AssertionError, match="drew class"):
        replay(model_of(), whole=False, **options)


def sites_of(scores: list[float], value: int, uniform: float, **options: Any) -> Sites:
    exact = torch.tensor([scores], dtype=torch.float64)
    return Sites(
        exact,
        exact.float(),
        torch.tensor([value]),
        torch.tensor([uniform]),
        DrawOptions(
            torch.tensor([float(options.get("temperature", 1))]),
            torch.tensor([options.get("top_k", 0)]),
            torch.tensor([float(options.get("top_p", 1))]),
        ),
        torch.tensor([[3, 8]]),
    )


def test_a_draw_may_lie_an_eps_beside_its_interval() -> None:
    for uniform in (0.5, 0.5 - 5e-7, 0.5 + 5e-7):
        for value in (0, 1):
            assert check_draws(sites_of([0.0, 0.0], value, uniform)) == 0
    with pytest.raises(AssertionError, match=r"row 3, site 8: drew class 0 with uniform 0\.50001"):
        check_draws(sites_of([0.0, 0.0], 0, 0.50001))


@pytest.mark.parametrize("options", [{"top_k": 2}, {"top_p": 0.6}, {"temperature": 0}])
def test_classes_that_tie_within_eps_may_trade_places(options: dict[str, Any]) -> None:
    best = 0.0 if options != {"temperature": 0} else -5.0
    near = [best, 0.0, 1e-8 if options == {"temperature": 0} else -1e-8, -3.0]
    passes = [check_draws(sites_of(near, value, 0.99, **options)) for value in (1, 2)]
    assert passes == [0, 0]
    with pytest.raises(AssertionError, match="drew class 3"):
        check_draws(sites_of(near, 3, 0.99, **options))


def test_an_excluded_class_fails_even_at_the_very_edge() -> None:
    with pytest.raises(AssertionError, match="drew class 1"):
        check_draws(sites_of([0.0, -torch.inf, 0.0], 1, 0.5))
    with pytest.raises(AssertionError, match="drew class 1"):
        check_draws(sites_of([0.0, -4.0, 0.0], 1, 0.5, top_k=2))


def test_too_many_sites_that_float32_cannot_tell_fail() -> None:
    sites = sites_of([0.0, 0.0], 0, 0.2)
    sites.close[0, 0] += 0.1
    with pytest.raises(AssertionError, match="1 of 1 sites have eps > 1e-3"):
        check_draws(sites)


def test_scores_are_compared_to_a_share_of_their_scale() -> None:
    exact = torch.tensor([[[100.0, -torch.inf, 1.0]]], dtype=torch.float64)
    counts = torch.ones(1, 1, dtype=torch.bool)
    near, far = exact.float(), exact.float()
    near[0, 0, 2] += 1.5e-3
    far[0, 0, 2] += 3e-3
    assert check_scores(near, exact, counts) == pytest.approx(1.5e-5, rel=1e-2)
    for bad in (far, torch.nan_to_num(exact.float(), neginf=-1e4), exact.float() * torch.nan):
        with pytest.raises(AssertionError, match="row 0, site 0: score of class"):
            check_scores(bad, exact, counts)
    assert check_scores(far, exact, ~counts) == 0


def test_forced_sites_give_the_scores_of_their_prefix() -> None:
    model = model_of("gru", 2).eval()
    tokens = torch.randint(23, (3, 40))
    session = Session(model, 3, seed=0, backend="cpu", scores=True, log_prob=True)
    assert torch.equal(session.advance(40, tokens), tokens)
    torch.testing.assert_close(session.scores, model(tokens), atol=2e-5, rtol=0)
    torch.testing.assert_close(session.log_probs.sum(-1), model.log_prob(tokens))


def test_what_another_backend_drew_is_replayed() -> None:
    """Prompts and ends of every row its own, with scores or without."""
    model = model_of()
    prompt, begins = torch.arange(42).view(6, 7) % 23, torch.tensor([7, 0, 3, 1, 2, 5])
    request = Request(seed=torch.arange(6), prompt=prompt, prompt_lengths=begins)
    drawn = sample(model, 6, 20, request, stop=4)
    sequences = joined(drawn, request)
    assert sequences.tokens[0, :7].tolist() == prompt[0].tolist()
    assert torch.equal(sequences.ends - sequences.begins, drawn.lengths)
    scores = model(sequences.tokens).detach()
    report = replay_drawn(model, drawn, request, scores, backend="other")
    assert (report.backend, report.sites) == ("other", int(drawn.lengths.sum()))
    assert replay_drawn(model, drawn, request).score_error is None
    with pytest.raises(AssertionError, match="score of class"):
        replay_drawn(model, drawn, request, scores + 0.01)
    wrong = drawn.values.clone()
    wrong[1, 3] = (wrong[1, 3] + 1) % 23
    with pytest.raises(AssertionError, match="row 1, site 3: drew class"):
        replay_drawn(model, replace(drawn, values=wrong), request)
