"""PixelCNN under a mixture of logistics: whole pixels, of one draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_models import CONDITIONS, conditions, images, model_of, program_scores

import genfast
from genfast.heads import LogisticMixture
from genfast.models import PixelCNN
from genfast.program import Draw

VARIANTS = pytest.mark.parametrize("variant", ["masked", "gated"])


def mixed(shape: Any, levels: int = 8, mixtures: int = 2, **options: Any) -> PixelCNN:
    return model_of(shape, levels, head=LogisticMixture(levels, mixtures, shape[0]), **options)


@VARIANTS
@pytest.mark.parametrize("channels", [1, 3])
def test_scores_have_one_part_that_sees_no_channel_of_its_pixel(
    variant: str, channels: int
) -> None:
    model = mixed((channels, 3, 4), variant=variant, width=17).double()
    x = images(model, 1)
    before = model(x)
    assert before.shape == (1, 3, 4, 1, model.head.parameters)
    for number in range(12):
        for channel in range(channels):
            changed = x.clone()
            y, column = divmod(number, 4)
            changed[0, channel, y, column] = (changed[0, channel, y, column] + 1) % 8
            differs = (model(changed) != before).any(-1).flatten()
            assert not differs[: number + 1].any()
            assert number == 11 or differs[number + 1 :].any()


@VARIANTS
@pytest.mark.parametrize("channels", [1, 3])
def test_log_prob_is_that_of_the_head(variant: str, channels: int) -> None:
    model = mixed((channels, 3, 4), variant=variant, classes=3)
    x, given = images(model, 3), conditions(model, 3)
    pixels = x.permute(0, 2, 3, 1)
    expected = model.head.log_prob(model(x, **given)[:, :, :, 0], pixels).flatten(1).sum(-1)
    torch.testing.assert_close(model.log_prob(x, **given), expected)
    step = model.training_step((x, given["classes"]), 0)
    assert step["sites"] == x.numel()
    torch.testing.assert_close(step["loss"], -expected.sum() / x.numel())


@VARIANTS
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("input", ["real", "embedding"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (4, 5)], ids=str)
@pytest.mark.parametrize("width", [1, 5, 17])
def test_programs_say_what_forward_does(
    variant: str, channels: int, input: str, shape: Any, width: int
) -> None:
    model = mixed((channels, *shape), variant=variant, input=input, width=width)
    assert_says_what_forward_does(model)


@VARIANTS
@pytest.mark.parametrize("names", CONDITIONS)
def test_programs_say_what_conditions_do(variant: str, names: str) -> None:
    assert_says_what_forward_does(mixed((3, 3, 4), variant=variant, **CONDITIONS[names]))


def assert_says_what_forward_does(model: PixelCNN) -> None:
    x, given = images(model), conditions(model)
    program = model.program()
    model.double()
    with torch.no_grad():
        exact = model(x, **given)[:, :, :, 0].flatten(1, 2).numpy()
    for one in (program, program.optimized()):
        (scores,) = program_scores(one, x, given)
        np.testing.assert_allclose(scores, exact, rtol=0, atol=2e-6 * abs(exact).max())


def test_a_pixel_is_one_draw_of_all_channels() -> None:
    program = mixed((3, 2, 2)).program().optimized()
    (draw,) = (i for i in program.instructions if isinstance(i, Draw))
    assert [target.name for target in draw.targets] == ["x0", "x1", "x2"]
    assert (draw.head, program.draws) == ("logistic_mixture", 4)


def test_a_saved_model_is_the_same(tmp_path: Path) -> None:
    model = mixed((3, 3, 4))
    model.save(tmp_path / "kept")
    loaded = genfast.load(tmp_path / "kept")
    x = images(model)
    assert torch.equal(loaded(x), model(x))
    assert repr(loaded.head) == repr(model.head)


@pytest.mark.parametrize("head", [LogisticMixture(8, 2, 1), LogisticMixture(7, 2, 3)], ids=str)
def test_heads_of_other_pixels_are_refused(head: LogisticMixture) -> None:
    with pytest.raises(ValueError, match=r"PixelCNN: head must be .* of 8 levels and 3 channels"):
        PixelCNN((3, 2, 2), 8, width=3, depth=1, head=head)
