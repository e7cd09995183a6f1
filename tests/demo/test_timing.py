"""The rivals draw what the model says, and a drawer that does not is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import genfast
from genfast.demo.plain_loop import PlainLoop
from genfast.demo.timing import compare

pytestmark = pytest.mark.usefixtures("one_thread")


def small_model(width: int = 17, **options: Any) -> genfast.SequenceModel:
    torch.manual_seed(3)
    head = genfast.heads.Categorical(11)
    model = genfast.SequenceModel(head, width=width, embedding_width=5, **options).eval()
    with torch.no_grad():  # so that every symbol matters to those behind it
        for weight in model.parameters():
            weight.mul_(3)
    return model


@pytest.mark.parametrize("n", [1, 3, 17])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru"},
        {"depth": 3},
        {"cell": "gru", "depth": 2, "start": 4},
        {"depth": 2, "start": "zeros"},
    ],
    ids=str,
)
def test_plain_loop_draws_what_the_model_says(n: int, options: dict[str, Any]) -> None:
    """Both of its forms against the model's own forward."""
    model, uniforms = small_model(**options), genfast.random.uniforms(7, n, 40)
    loop = PlainLoop(model, n, 0.8)
    drawn = loop.draw(uniforms)
    with torch.no_grad():
        mass = torch.softmax(model(drawn) / 0.8, -1).cumsum(-1)
    edge = uniforms[:, :, None] * mass[:, :, -1:]
    assert torch.equal(drawn, (mass <= edge).sum(-1))
    loop.tune(uniforms[:, :3])
    assert torch.equal(drawn, loop.draw(uniforms))
    loop._step = loop._cell_step
    assert torch.equal(drawn, loop.draw(uniforms))


def test_compare_refuses_a_draw_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    assert compare(model, 3, 40, seed=1, temperature=1.0).differing == 0
    sample = model.sample

    def off(*args: object, **options: object) -> object:
        drawn = sample(*args, **options)  # type: ignore[arg-type]
        drawn.values[0, ::5] = (drawn.values[0, ::5] + 1) % 11
        return drawn

    monkeypatch.setattr(model, "sample", off)
    with pytest.raises(RuntimeError, match=r"must agree with PyTorch, got \d+ other symbols"):
        compare(model, 3, 40, seed=1, temperature=1.0)


def test_plain_loop_never_draws_what_has_no_mass() -> None:
    """A number of exactly 0 lies below every class, the impossible first one included."""
    model = small_model()
    with torch.no_grad():
        model.readout.bias[0] = -1e4
    assert int(PlainLoop(model, 2, 1.0).draw(torch.zeros(2, 3)).min()) == 1
