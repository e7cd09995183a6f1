"""The categorical head: its density, and the reference draw against one written class by class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genfast.heads import Categorical, DrawOptions, running_sum

LARGEST = 1 - 2.0**-24


def options(n: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> DrawOptions:
    return DrawOptions(
        torch.full((n,), temperature), torch.full((n,), top_k), torch.full((n,), top_p)
    )


def draw_by_hand(
    scores: np.ndarray, uniform: float, temperature: float, top_k: int, top_p: float
) -> int:
    """One row of the contract, a class at a time, every operation rounded to float32."""
    f32, classes = np.float32, len(scores)
    if temperature == 0:
        return max(range(classes), key=lambda c: (scores[c], -c))
    scores = scores / f32(temperature)
    order = sorted(range(classes), key=lambda c: (-scores[c], c))[: top_k or classes]
    weights = torch.exp(torch.from_numpy(scores - scores.max())).numpy()
    if top_p < 1:
        total = f32(0)
        for c in order:
            total += weights[c]
        mass, kept = f32(0), []
        for c in order:
            if kept and not mass < f32(top_p) * total:
                break
            kept.append(c)
            mass += weights[c]
        order = kept
    kept, total = sorted(order), f32(0)
    for c in kept:
        total += weights[c]
    edge, run = f32(uniform) * total, f32(0)
    for c in kept:
        run += weights[c]
        if run > edge:
            return c
    raise AssertionError("rounding left no class")


@pytest.mark.parametrize("classes", [1, 2, 17, 129])
@pytest.mark.parametrize("temperature", [0.0, 0.1, 1.0, 3.0])
def test_draw_is_the_contract(classes: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(classes)
    n = 200
    # Rounded scores bring ties; some classes are excluded.
    scores = (3 * torch.randn(n, classes, generator=generator)).round(decimals=1)
    excluded = torch.rand(n, classes, generator=generator) < 0.2
    excluded[:, torch.randint(classes, (), generator=generator)] = False
    scores[excluded] = -torch.inf
    uniforms = (torch.rand(n, 1, generator=generator) * 2**24).floor() * 2.0**-24
    top_k = torch.randint(0, classes + 2, (n,), generator=generator)
    top_p = torch.rand(n, generator=generator).clamp(min=1e-3)
    top_p[::3] = 1.0
    drawn = Categorical(classes).draw(
        scores, uniforms, DrawOptions(torch.full((n,), temperature), top_k, top_p)
    )
    expected = [
        draw_by_hand(
            scores[i].numpy(), float(uniforms[i]), temperature, int(top_k[i]), float(top_p[i])
        )
        for i in range(n)
    ]
    assert drawn.tolist() == expected


@pytest.mark.parametrize("uniform", [0.0, LARGEST])
def test_excluded_classes_are_never_drawn_at_the_edges(uniform: float) -> None:
    scores = torch.tensor([[-torch.inf, -torch.inf, 0.3, -torch.inf, 1.7, -torch.inf]])
    drawn = Categorical(6).draw(scores, torch.tensor([[uniform]]), options(1))
    assert drawn.tolist() == [2 if uniform == 0.0 else 4]


def test_equal_scores_are_kept_by_lower_index() -> None:
    scores = torch.tensor([[1.0, 2.0, 2.0, 2.0]]).repeat(50, 1)
    uniforms = torch.linspace(0, LARGEST, 50)[:, None]
    drawn = Categorical(4).draw(scores, uniforms, options(50, top_k=2))
    assert set(drawn.tolist()) == {1, 2}
    assert Categorical(4).draw(scores[:1], uniforms[:1], options(1, 0.0)).tolist() == [1]


def test_top_p_leaves_out_a_class_whose_mass_before_is_just_p() -> None:
    uniforms = torch.linspace(0, LARGEST, 20)[:, None]
    drawn = Categorical(4).draw(torch.zeros(20, 4), uniforms, options(20, top_p=0.5))
    assert set(drawn.tolist()) == {0, 1}


def test_tiny_top_p_keeps_the_best_class() -> None:
    scores = torch.randn(20, 9, generator=torch.Generator().manual_seed(0))
    drawn = Categorical(9).draw(scores, torch.full((20, 1), LARGEST), options(20, top_p=1e-30))
    assert drawn.tolist() == scores.argmax(-1).tolist()


def test_running_sum_rounds_every_step_to_float32() -> None:
    weights = torch.cat([torch.tensor([2.0**24]), torch.ones(8)])[None]
    assert running_sum(weights)[0, -1] == 2.0**24
    assert torch.cumsum(weights, -1)[0, -1] == 2.0**24 + 8


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ([0.0, torch.nan, 1.0], "NaN"),
        ([0.0, torch.inf, 1.0], r"\+inf"),
        ([-torch.inf] * 3, "all -inf, nothing is left to draw"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_draw_names_row_and_site_of_a_bad_score(
    row: list[float], what: str, temperature: float
) -> None:
    scores = torch.zeros(4, 3)
    scores[2] = torch.tensor(row)
    with pytest.raises(FloatingPointError, match=f"scores of row 2 at site 7 are {what}"):
        Categorical(3).draw(scores, torch.zeros(4, 1), options(4, temperature), site=7)


@pytest.mark.parametrize("shape", [(), (1,), (4, 17)])
def test_log_prob_is_log_softmax(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(*shape, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    values = torch.randint(5, shape, generator=generator)
    expected = scores.log_softmax(-1).gather(-1, values[..., None])[..., 0]
    got = Categorical(5).log_prob(scores, values)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got.sum(), scores), torch.autograd.grad(expected.sum(), scores)
    )


def test_log_prob_of_low_precision_is_float32() -> None:
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(2)).bfloat16()
    got = Categorical(5).log_prob(scores, torch.tensor([0, 1, 2]))
    assert got.dtype == torch.float32
    assert torch.equal(got, Categorical(5).log_prob(scores.float(), torch.tensor([0, 1, 2])))


@pytest.mark.parametrize("classes", [0, -3, 2.5, "many"])
def test_bad_classes(classes: object) -> None:
    with pytest.raises(ValueError, match="Categorical: classes must be"):
        Categorical(classes)  # type: ignore[arg-type]
