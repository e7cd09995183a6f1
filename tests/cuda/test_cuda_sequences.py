"""Sequences on a simulated GPU: what the CPU draws, however the work is cut."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from simulated_gpu import SimulatedEngine, sequence_model

from genfast.compiled import compiled
from genfast.models import SequenceModel
from genfast.session import Session
from genfast.testing import replay

pytestmark = pytest.mark.usefixtures("one_thread", "simulated")

CELLS = ["lstm", "gru"]
ROWS: dict[str, Any] = {
    "seed": torch.tensor([5, 2**63 - 1, 0, 5, 5]),
    "index": torch.tensor([9, 2**32 - 1, 0, 9, 9]),
    "temperature": torch.tensor([0.0, 0.5, 1.0, 2.0, 1.0]),
    "top_k": torch.tensor([0, 3, 0, 100, 1]),
    "top_p": torch.tensor([1.0, 1.0, 0.6, 0.9, 1.0]),
    "stop": torch.tensor([-1, 1, 2, 3, -1]),
}


def both(model: SequenceModel, n: int, length: int, **options: Any) -> Any:
    """What the GPU drew, equal to what the CPU draws."""
    drawn, expected = (
        model.sample(n, length, log_prob=True, backend=backend, **options)
        for backend in ("cuda", "cpu")
    )
    assert torch.equal(drawn.values, expected.values)
    assert torch.equal(drawn.lengths, expected.lengths)
    torch.testing.assert_close(drawn.log_prob, expected.log_prob, atol=1e-4, rtol=1e-5)
    return drawn


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_is_the_sample_of_its_index(cell: str) -> None:
    """However many clusters, or rows of one, the batch is spread over."""
    model = sequence_model(cell)
    batch = both(model, 7, 9, seed=4)
    for i in (0, 3, 6):
        one = model.sample(1, 9, seed=4, index=i, log_prob=True, backend="cuda")
        assert torch.equal(one.values[0], batch.values[i])
        assert torch.equal(one.log_prob[0], batch.log_prob[i])


@pytest.mark.parametrize("cell", CELLS)
def test_replay_finds_nothing_wrong(cell: str) -> None:
    report = replay(sequence_model(cell), 5, 14, backend="cuda", stop=2)
    assert (report.backend, report.skipped, report.equal_samples) == ("cuda", 0, 1.0)
    assert report.score_error is not None
    assert 0 < report.score_error < 1e-6


@pytest.mark.parametrize("cell", CELLS)
def test_replay_of_bfloat16_weights_finds_nothing_wrong(cell: str) -> None:
    """Their products are rounded no further: inputs are sums of two bfloat16."""
    model = sequence_model(cell).bfloat16()
    report = replay(model, 5, 14, backend="cuda", whole=False)
    assert report.score_error is not None
    assert 1e-7 < report.score_error < 2e-5


def test_options_of_single_rows() -> None:
    batch = both(sequence_model(), 5, 25, pad=-9, **ROWS)
    assert torch.equal(batch.values[0], batch.values[4])
    ended = torch.arange(25) >= batch.lengths[:, None]
    assert ended.any()
    assert (batch.values[ended] == -9).all()


def test_a_stop_is_seen_across_chunks() -> None:
    drawn = both(sequence_model(classes=40), 2, 70, seed=1, stop=torch.tensor([-1, 7]))
    assert drawn.lengths[0] == 70


def test_prompts_of_differing_lengths_and_streams() -> None:
    model, lengths = sequence_model(), torch.tensor([0, 3, 9, 1, 9])
    x = model.sample(5, 19, seed=3, backend="cuda").values
    prompt = x[:, :12].masked_fill(torch.arange(12) >= lengths[:, None], -7)
    given = {"seed": 3, "prompt": prompt, "prompt_lengths": lengths}
    drawn = both(model, 5, 10, **given)
    for i, k in enumerate(lengths.tolist()):
        assert torch.equal(drawn.values[i], x[i, k : k + 10])
    stream = model.stream(5, backend="cuda", **given)
    assert torch.equal(torch.stack(list(itertools.islice(stream, 10)), 1), drawn.values)


def test_sessions_reset_keep_and_restore_rows() -> None:
    model = sequence_model("gru")
    alone = model.sample(5, 24, seed=6, backend="cpu").values
    session = Session(model, 4, seed=6, backend="cuda", chunk=4)
    assert session.backend == "cuda"
    assert torch.equal(session.advance(6), alone[:4, :6])
    state = session.state()
    after = session.advance(5)
    session.restore(state)
    assert torch.equal(session.advance(5), after)
    session.select(torch.tensor([3, 0, 3]))
    assert torch.equal(session.advance(4), alone[[3, 0, 3], 11:15])
    session.reset(torch.tensor([1, 2]), index=torch.tensor([4, 2]))
    assert session.positions.tolist() == [15, 0, 0]
    drawn = session.advance(9)
    assert torch.equal(drawn, torch.stack([alone[3, 15:], alone[4, :9], alone[2, :9]]))
    session.reset(torch.tensor([0]), temperature=0.0)
    greedy = model.sample(1, 3, temperature=0.0, backend="cpu").values
    assert torch.equal(session.advance(3)[:1], greedy)


@pytest.mark.parametrize("cell", CELLS)
def test_forced_sites_give_the_scores_of_their_prefix(cell: str) -> None:
    model, tokens = sequence_model(cell).eval(), torch.randint(11, (3, 14))
    session = Session(model, 3, seed=0, backend="cuda", scores=True, log_prob=True, chunk=5)
    assert torch.equal(session.advance(14, tokens), tokens)
    torch.testing.assert_close(session.scores, model(tokens), atol=2e-5, rtol=0)
    torch.testing.assert_close(session.log_probs.sum(-1), model.log_prob(tokens))


def test_changed_weights_are_drawn_from() -> None:
    model = sequence_model()
    before = both(model, 3, 12, seed=2)
    kept = compiled(model)
    assert compiled(model) is kept
    model.readout.weight.data.mul_(-1)
    assert not torch.equal(both(model, 3, 12, seed=2).values, before.values)


def test_each_engine_keeps_what_it_packed() -> None:
    model = sequence_model()
    gpus = [SimulatedEngine(0, "float32"), SimulatedEngine(1, "float32")]
    gpus.append(SimulatedEngine(0, "bfloat16"))
    made = [compiled(model), *(compiled(model, gpu) for gpu in gpus)]
    assert len({id(one.executor) for one in made}) == 4
    assert len({id(one.program) for one in made}) == 1
    again = [compiled(model), *(compiled(model, gpu) for gpu in gpus)]
    assert all(one is other for one, other in zip(made, again, strict=True))


def test_scores_that_cannot_be_drawn_from_are_named() -> None:
    model = sequence_model()
    session = Session(model, 2, seed=0, backend="cuda")
    state = session.state()
    session.advance(3)
    model.readout.weight.data.fill_(3e38)
    with pytest.raises(FloatingPointError, match=r"scores of row \d at site \d are"):
        model.sample(2, 3, backend="cuda")
    model.readout.weight.data[1, 2] = torch.nan
    with pytest.raises(FloatingPointError, match=r"readout\.weight is nan at \(1, 2\)"):
        model.sample(2, 3, backend="cuda")
    # A session keeps the weights that it began with.
    session.restore(state)
    session.advance(3)


def test_nothing_to_draw_is_an_empty_sample() -> None:
    for n, length in ((0, 5), (3, 0)):
        out = sequence_model().sample(n, length, backend="cuda", log_prob=True)
        assert out.values.shape == (n, length)
        assert out.lengths.tolist() == [length] * n
