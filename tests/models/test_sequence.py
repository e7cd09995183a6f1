"""SequenceModel: a causal density in plain PyTorch, and weights that fit torch's own modules."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.session import Session


def model_of(classes: int = 7, **options: Any) -> SequenceModel:
    torch.manual_seed(3)
    return SequenceModel(Categorical(classes), **({"width": 17, "depth": 2} | options)).eval()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("start", ["learnt", "zeros", 2])
def test_probabilities_of_all_sequences_sum_to_one(cell: str, start: str | int) -> None:
    model = model_of(3, cell=cell, start=start)
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    assert model.log_prob(every).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("start", ["learnt", "zeros", 2])
def test_a_site_sees_the_symbols_before_it_alone(cell: str, start: str | int) -> None:
    model = model_of(cell=cell, start=start)
    tokens = torch.randint(7, (2, 9))
    scores = model(tokens)
    for site in range(9):
        changed = tokens.clone()
        changed[:, site:] = (changed[:, site:] + 1) % 7
        torch.testing.assert_close(model(changed)[:, : site + 1], scores[:, : site + 1])
        if site < 8:
            assert not torch.allclose(model(changed)[:, site + 1], scores[:, site + 1])


def test_log_prob_counts_the_sites_of_lengths() -> None:
    model = model_of()
    tokens, lengths = torch.randint(7, (4, 6)), torch.tensor([0, 1, 5, 6])
    padded = tokens.masked_fill(torch.arange(6) >= lengths[:, None], -100)
    got = model.log_prob(padded, lengths)
    expected = [model.log_prob(tokens[i : i + 1, :k])[0] for i, k in enumerate(lengths.tolist())]
    torch.testing.assert_close(got, torch.stack(expected))
    assert got[0] == 0


def test_training_step_is_mean_nats_a_site_and_differentiable() -> None:
    model = model_of(dropout=0.3).train()
    tokens, lengths = torch.randint(7, (4, 6)), torch.tensor([1, 2, 3, 4])
    model.training_step(tokens, 0)["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())
    model.eval()
    loss = model.training_step((tokens, lengths), 0)["loss"]
    torch.testing.assert_close(loss, -model.log_prob(tokens, lengths).sum() / 10)
    torch.testing.assert_close(model.training_step((tokens,), 0), model.training_step(tokens, 1))


def test_parameter_groups_hold_every_parameter_once() -> None:
    model = model_of()
    decays, rest = model.parameter_groups()
    chosen = [id(p) for p in (*decays["params"], *rest["params"])]
    assert sorted(chosen) == sorted(id(p) for p in model.parameters())
    assert rest["weight_decay"] == 0.0
    assert any(p is model.embed.weight for p in rest["params"])
    assert not any(p is model.rnn.bias_hh_l0 for p in decays["params"])


def test_dropout_acts_in_training_alone() -> None:
    model, tokens = model_of(depth=1, dropout=0.5), torch.randint(7, (2, 5))
    assert torch.equal(model(tokens), model(tokens))
    model.train()
    assert not torch.equal(model(tokens), model(tokens))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_weights_of_torch_modules_load_and_give_their_scores(
    cell: str, depth: int, backend: str
) -> None:
    torch.manual_seed(5)
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    embed, rnn, readout = (
        nn.Embedding(11, 5),
        kind(5, 18, depth, batch_first=True),
        nn.Linear(18, 11),
    )
    model = SequenceModel(
        Categorical(11), cell=cell, width=18, depth=depth, embedding_width=5, start="zeros"
    )
    model.embed.load_state_dict(embed.state_dict())
    model.rnn.load_state_dict(rnn.state_dict())
    model.readout.load_state_dict(readout.state_dict())
    tokens = torch.randint(11, (3, 20))
    with torch.no_grad():
        below = torch.cat([torch.zeros(3, 1, 5), embed(tokens[:, :-1])], 1)
        expected = readout(rnn(below)[0])
    session = Session(model, 3, backend=backend, scores=True)
    session.advance(20, tokens)
    torch.testing.assert_close(session.scores, expected, atol=1e-5, rtol=1e-5)


def test_empty_tokens_have_no_sites() -> None:
    model = model_of()
    assert model(torch.zeros(0, 5, dtype=torch.int64)).shape == (0, 5, 7)
    assert model(torch.zeros(3, 0, dtype=torch.int64)).shape == (3, 0, 7)
    assert model.log_prob(torch.zeros(3, 0, dtype=torch.int64)).tolist() == [0, 0, 0]


def test_program_has_one_look_up_in_place_of_embedding_and_projection() -> None:
    program = model_of(cell="lstm", depth=1).program().optimized()
    assert "T8x68[x[+0,-1]]" in str(program)
    assert program.draws == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"cell": "rnn"}, "cell must be 'lstm' or 'gru', got 'rnn'"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"start": 7}, "start must be 'learnt', 'zeros' or a symbol below 7, got 7"),
        ({"start": "begin"}, "start must be 'learnt', 'zeros' or a symbol below 7, got 'begin'"),
    ],
)
def test_bad_constructor_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"SequenceModel: {message}"):
        model_of(**options)
