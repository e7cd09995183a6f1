"""The sampler's graph draws the library's samples: replay, and whole samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from genfast.exporting.sampler import build_sampler
from genfast.random import uniforms
from genfast.sampling import Request, sample
from genfast.testing import replay_drawn

N, PROMPT = 9, 6


class Drawn(NamedTuple):
    values: Tensor
    lengths: Tensor


def request(classes: int, **options: Any) -> Request:
    """Rows that differ in everything."""
    torch.manual_seed(2)
    named: dict[str, Any] = {
        "seed": torch.randint(2**62, (N,)) * 2 + 1,
        "index": torch.randint(2**32, (N,)),
        "temperature": torch.tensor([1.0, 0.7, 0.0, 1.3, 1.0, 0.9, 2.0, 0.0, 1.0]),
        "prompt": torch.randint(classes, (N, PROMPT)),
        "prompt_lengths": torch.tensor([0, 6, 3, 1, 2, 0, 5, 4, 6]),
    }
    return Request(**(named | options))


LENGTHS = torch.tensor([30, 12, 30, 0, 1, 29, 30, 7, 30])


def draw(opened: Any, program: Any, asked: Request, lengths: Tensor = LENGTHS, **how: Any) -> Drawn:
    """Draws by the graph, fed as a serving program would feed it."""
    graph = build_sampler(program, **how)
    fed = {
        "length": lengths,
        "prompt_length": asked.prompt_lengths,
        **{name: getattr(asked, name) for name in ("seed", "index", "temperature")},
        **{name: getattr(asked, name) for name in ("top_k", "top_p") if how.get(name) == "input"},
    }
    fed = {name: value[:, None].numpy() for name, value in fed.items()}
    fed["prompt"] = asked.prompt.numpy()
    if how.get("uniforms"):
        sites = max([0, *(asked.prompt_lengths + lengths).tolist()])
        chance = uniforms(asked.seed, len(lengths), sites, index=asked.index)
        fed["uniforms"] = chance.numpy()
        del fed["seed"], fed["index"]
    values, ends = opened(graph)(**fed)
    return Drawn(torch.from_numpy(values), torch.from_numpy(ends[:, 0]))


def equal_share(model: Any, drawn: Drawn, asked: Request, stop: int | None = None) -> float:
    """Share of samples that the library draws, too, after every value and length was compared."""
    longest = drawn.values.shape[1]
    own = sample(model, len(drawn.values), longest, asked, stop=stop)
    lengths = torch.minimum(own.lengths, LENGTHS)
    own_values = own.values.where(torch.arange(longest) < lengths[:, None], 0)
    same = (own_values == drawn.values).all(-1) & (lengths == drawn.lengths)
    return float(same.float().mean())


MODELS = [
    {"cell": cell, "depth": depth, "width": width, "classes": classes}
    for cell in ("lstm", "gru")
    for depth, width, classes in ((1, 17, 65), (2, 5, 2), (1, 1, 1), (2, 33, 257))
]


@pytest.mark.parametrize("sizes", MODELS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("given", [False, True], ids=["seeds", "uniforms"])
def test_replay(opened: Any, model_of: Any, sizes: dict[str, Any], given: bool) -> None:
    model = model_of(**sizes)
    asked = request(sizes["classes"])
    drawn = draw(opened, model.program().optimized(), asked, uniforms=given)
    assert drawn.lengths.tolist() == LENGTHS.tolist()
    report = replay_drawn(model, drawn, asked)
    assert (report.sites, report.skipped) == (int(LENGTHS.sum()), 0)
    assert equal_share(model, drawn, asked) >= (N - 1) / N


@pytest.mark.parametrize("start", ["learnt", "zeros", 4])
def test_starts(opened: Any, model_of: Any, start: Any) -> None:
    model, asked = model_of(start=start), request(23)
    drawn = draw(opened, model.program().optimized(), asked)
    replay_drawn(model, drawn, asked)
    assert equal_share(model, drawn, asked) >= (N - 1) / N


def test_unfolded_embedding(opened: Any, model_of: Any) -> None:
    """As the model is written: a table, then a product."""
    model, asked = model_of("gru", 2), request(23)
    drawn = draw(opened, model.program(), asked)
    replay_drawn(model, drawn, asked)


KEPT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"top_k": 4}, {"top_k": torch.full((N,), 4)}),
    ({"top_k": 1}, {"top_k": torch.full((N,), 1)}),
    ({"top_p": 0.6}, {"top_p": torch.full((N,), 0.6)}),
    ({"top_k": 9, "top_p": 0.8}, {"top_k": torch.full((N,), 9), "top_p": torch.full((N,), 0.8)}),
    (
        {"top_k": "input", "top_p": "input"},
        {"top_k": torch.arange(N), "top_p": torch.linspace(0.1, 1, N)},
    ),
    ({"top_k": "input"}, {"top_k": torch.tensor([0, 1, 2, 30, 0, 5, 23, 22, 3])}),
]


@pytest.mark.parametrize(("how", "options"), KEPT, ids="-".join)
def test_kept_sets(
    opened: Any, model_of: Any, how: dict[str, Any], options: dict[str, Any]
) -> None:
    model, asked = model_of(), request(23, **options)
    drawn = draw(opened, model.program().optimized(), asked, **how)
    replay_drawn(model, drawn, asked)
    assert equal_share(model, drawn, asked) >= (N - 1) / N


def test_stop_ends_rows(opened: Any, model_of: Any) -> None:
    model, asked = model_of(classes=7), request(7)
    drawn = draw(opened, model.program().optimized(), asked, stop=3)
    assert (drawn.lengths < LENGTHS).any()
    for values, length in zip(drawn.values, drawn.lengths.tolist(), strict=True):
        assert (values[: max(0, length - 1)] != 3).all()
        assert (values[length:] == 0).all()
    replay_drawn(model, drawn, asked)
    assert equal_share(model, drawn, asked, stop=3) >= (N - 1) / N


@pytest.mark.parametrize("given", [False, True], ids=["seeds", "uniforms"])
@pytest.mark.parametrize(("n", "length"), [(0, 5), (3, 0), (0, 0), (1, 1)])
def test_empty_batches_and_lengths(
    opened: Any, model_of: Any, n: int, length: int, given: bool
) -> None:
    model = model_of()
    asked = Request(
        seed=torch.arange(n),
        index=torch.arange(n),
        temperature=torch.ones(n),
        prompt=torch.zeros(n, 0, dtype=torch.int64),
        prompt_lengths=torch.zeros(n, dtype=torch.int64),
    )
    lengths = torch.full((n,), length)
    drawn = draw(opened, model.program().optimized(), asked, lengths, uniforms=given)
    # Of no rows, the longest is 0.
    assert drawn.values.shape == (n, length if n else 0)
    assert drawn.lengths.tolist() == [length] * n


def test_rows_do_not_know_of_each_other(opened: Any, model_of: Any) -> None:
    """A row draws what it draws alone, whatever prompts and lengths stand beside it."""
    program, asked = model_of("gru", 2).program().optimized(), request(23)
    together = draw(opened, program, asked)
    for row in range(N):
        at = slice(row, row + 1)
        fields = {name: None if value is None or isinstance(value, str) else value[at]
                  for name, value in vars(asked).items()}  # fmt: skip
        alone = draw(opened, program, Request(**(fields | {"backend": "auto"})), LENGTHS[at])
        length = int(LENGTHS[row])
        assert alone.values[0].tolist() == together.values[row, :length].tolist()


def test_too_few_uniforms_are_an_error(opened: Any, model_of: Any, columns: Any) -> None:
    fed = columns(2, 10, uniforms=np.zeros((2, 9), np.float32))
    del fed["seed"], fed["index"]
    run = opened(build_sampler(model_of().program().optimized(), uniforms=True))
    with pytest.raises(Exception, match="Out of range value in index"):
        run(**fed)


def test_a_symbol_that_is_none_is_an_error(opened: Any, model_of: Any, columns: Any) -> None:
    run = opened(build_sampler(model_of().program().optimized()))
    fed = columns(1, 3, prompt=np.array([[1, 24]]), prompt_length=np.array([2]))
    with pytest.raises(Exception, match="out of data bounds"):
        run(**fed)
    fed["prompt_length"][:] = 1
    run(**fed)
