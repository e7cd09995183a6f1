"""The compiled draw and PyTorch's: the same images, or an error."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import genfast
from genfast.demo import drawing
from genfast.demo.drawing import compare_drawing

pytestmark = pytest.mark.usefixtures("one_thread")


def small_model(c: int = 1, levels: int = 7) -> genfast.PixelCNN:
    torch.manual_seed(3)
    model = genfast.PixelCNN((c, 3, 5), levels, width=9, depth=2, classes=4).eval()
    with torch.no_grad():  # so that every pixel matters to those behind it
        for weight in model.parameters():
            weight.mul_(2)
    return model


@pytest.mark.parametrize(("c", "temperature"), [(1, 1.0), (3, 0.8)])
def test_all_draw_the_same(c: int, temperature: float) -> None:
    model, classes = small_model(c), torch.tensor([0, 3, 3, 1, 2])
    timing = compare_drawing(model, classes, seed=9, temperature=temperature)
    assert (timing.n, timing.draws, timing.differing) == (5, 75 * c, 0)
    assert min(timing.compiled, timing.forward, timing.naive) > 0
    numbers = genfast.random.uniforms(9, 5, 15 * c)
    drawn = model.sample(5, seed=9, classes=classes, temperature=temperature)
    _, forward = drawing._fastest_forward(model, drawn, classes)
    whole = drawing._draw_naively(forward, drawn, numbers, temperature, 15)
    assert torch.equal(whole, drawn)
    again = drawing._drawn_again(model, drawn, classes, numbers, temperature)
    assert torch.equal(again, drawn)


def test_a_draw_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    sample = model.sample

    def off(*args: object, **options: object) -> torch.Tensor:
        drawn: Any = sample(*args, **options)  # type: ignore[arg-type]
        return (drawn + (torch.arange(5) == 3)) % 7

    monkeypatch.setattr(model, "sample", off)
    with pytest.raises(RuntimeError, match=r"must agree with PyTorch, got \d+ other values of 60"):
        compare_drawing(model, torch.arange(4), seed=1, temperature=1.0)


def test_the_model_and_the_threads_are_left_as_they_were() -> None:
    model = small_model()
    strides = [p.stride() for p in model.parameters()]
    threads = torch.get_num_threads()
    compare_drawing(model, torch.zeros(2, dtype=torch.int64), seed=1, temperature=1.0)
    assert [p.stride() for p in model.parameters()] == strides
    assert torch.get_num_threads() == threads
