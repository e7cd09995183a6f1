"""PixelCNN: a causal density in plain PyTorch, for grey, coloured and index images."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from image_models import CONDITIONS, conditions, images, model_of
from torch import nn

import genfast
from genfast.models import PixelCNN

VARIANTS = pytest.mark.parametrize("variant", ["masked", "gated"])


@VARIANTS
@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 1, 3), (1, 3, 1), (2, 1, 2)])
def test_probabilities_of_all_images_sum_to_one(variant: str, shape: Any) -> None:
    model = model_of(shape, 3, variant=variant).double()
    every = torch.tensor(list(itertools.product(range(3), repeat=math.prod(shape))))
    total = model.log_prob(every.reshape(-1, *shape)).exp().sum().item()
    assert total == pytest.approx(1.0, abs=1e-9)


@VARIANTS
@pytest.mark.parametrize("input", ["real", "embedding"])
@pytest.mark.parametrize("width", [1, 2, 17])
def test_channels_see_what_is_drawn_before_them(variant: str, input: str, width: int) -> None:
    """Changing one channel of one pixel changes no score of what is drawn before it, or of it."""
    model = model_of((3, 3, 4), variant=variant, input=input, width=width).double()
    x = torch.randint(4, (1, 3, 3, 4))
    before = model(x)
    places = [(y, column, c) for y in range(3) for column in range(4) for c in range(3)]
    for number, (y, column, c) in enumerate(places):
        changed = x.clone()
        changed[0, c, y, column] = (changed[0, c, y, column] + 1) % 4
        differs = (model(changed) != before).any(-1)[0].flatten()
        assert not differs[: number + 1].any(), (y, column, c)
    later = x.clone()
    later[0, 0, 0, 0] = (later[0, 0, 0, 0] + 1) % 4
    seen = (model(later) != before).any(-1)[0, 0, 0].tolist()
    # Few units may be shut for good by a relu.
    assert seen == [False, True, True] or width < 17


def test_scores_have_a_part_for_each_channel() -> None:
    for channels in (1, 3):
        model = model_of((channels, 5, 4), 7)
        assert model(images(model, 3)).shape == (3, 5, 4, channels, 7)
        assert model(images(model, 0)).shape == (0, 5, 4, channels, 7)


def test_levels_enter_from_minus_one_to_one() -> None:
    model = model_of((1, 1, 5), 5)
    x = torch.arange(5).reshape(1, 1, 1, 5)
    assert model.encode(x).flatten().tolist() == [-1, -0.5, 0, 0.5, 1]
    assert model.double().encode(x).dtype == torch.float64
    many = model_of((1, 1, 1), 256).to(torch.bfloat16)
    level = torch.tensor([[[[200]]]])
    exact = torch.tensor(2 * 200 / 255 - 1)
    assert many.encode(level).item() == exact.to(torch.bfloat16).item()


def test_embedded_channels_stand_one_after_the_other() -> None:
    model = model_of((2, 3, 3), 4, input="embedding", embedding_width=3)
    x = images(model)
    assert model.embed is not None
    encoded = model.encode(x)
    assert encoded.shape == (2, 6, 3, 3)
    torch.testing.assert_close(encoded[1, 3:, 2, 0], model.embed.weight[x[1, 1, 2, 0]])


@VARIANTS
@pytest.mark.parametrize("names", CONDITIONS)
def test_conditions_change_every_score(variant: str, names: str) -> None:
    model = model_of(variant=variant, width=17, **CONDITIONS[names]).double()
    x = images(model)
    given = {
        name: v.double() if v.is_floating_point() else v for name, v in conditions(model).items()
    }
    scores = model(x, **given)
    for name, value in given.items():
        other = (value + 1) % 2 if name == "classes" else value + 1
        changed = model(x, **given | {name: other})
        assert (changed != scores).any(-1).all()


@VARIANTS
@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 2, 3)])
def test_log_prob_is_the_sum_over_channels_of_pixels(variant: str, shape: Any) -> None:
    model = model_of(shape, 5, variant=variant, classes=3)
    x, given = images(model, 3), conditions(model, 3)
    nats = model(x, **given).log_softmax(-1)
    expected = torch.zeros(3)
    for n, c, y, column in itertools.product(*map(range, x.shape)):
        expected[n] += nats[n, y, column, c, x[n, c, y, column]]
    torch.testing.assert_close(model.log_prob(x, **given), expected)
    bits = -expected.sum().item() / x.numel() / math.log(2)
    assert model.bits_per_dim(x, **given) == pytest.approx(bits, rel=1e-5)
    assert genfast.bits_per_dim(model, x, **given) == model.bits_per_dim(x, **given)


@VARIANTS
def test_training_step_is_mean_nats_a_channel(variant: str) -> None:
    model = model_of((3, 2, 2), variant=variant, classes=3).train()
    x, given = images(model), conditions(model)
    step = model.training_step({"x": x, **given}, 0)
    assert step["sites"] == 2 * 3 * 2 * 2
    torch.testing.assert_close(step["loss"], -model.log_prob(x, **given).mean() / 12)
    torch.testing.assert_close(model.training_step((x, given["classes"]), 1), step)
    step["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())


def test_training_step_takes_images_alone_and_none_at_all() -> None:
    model = model_of()
    x = images(model)
    expected = model.training_step({"x": x}, 0)
    assert torch.equal(model.training_step(x, 0)["loss"], expected["loss"])
    assert torch.equal(model.training_step((x,), 0)["loss"], expected["loss"])
    nothing = model.training_step(x[:0], 0)
    assert (nothing["loss"].item(), nothing["sites"]) == (0.0, 0)


@VARIANTS
@pytest.mark.parametrize("input", ["real", "embedding"])
def test_training_lowers_the_loss(variant: str, input: str) -> None:
    """Images of one slope: a level more a column; what is left to learn is where they start."""
    torch.manual_seed(0)
    model = PixelCNN((1, 5, 7), 8, width=8, depth=2, variant=variant, input=input)
    start = torch.randint(8, (64, 1, 5, 1))
    x = (start + torch.arange(7)) % 8
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=1e-2)
    first = model.training_step(x, 0)["loss"].item()
    for step in range(60):
        optimizer.zero_grad()
        loss = model.training_step(x, step)["loss"]
        loss.backward()
        optimizer.step()
    assert first > 1.8
    assert loss.item() < 0.75 * first


def test_parameter_groups_hold_every_parameter_once() -> None:
    model = model_of(input="embedding", classes=3)
    decays, rest = model.parameter_groups()
    chosen = [id(p) for p in (*decays["params"], *rest["params"])]
    assert sorted(chosen) == sorted(id(p) for p in model.parameters())
    assert rest["weight_decay"] == 0.0
    assert model.embed is not None
    condition = model.network.blocks[0].horizontal_condition.classes.weight
    for table in (model.embed.weight, condition, model.network.mid.bias):
        assert any(p is table for p in rest["params"])
    assert any(p is model.network.mid.weight for p in decays["params"])


def test_fit_reports_the_mean_over_channels() -> None:
    model = model_of((3, 4, 4), classes=2)
    x, labels = images(model, 8), conditions(model, 8)["classes"]
    history = genfast.fit(
        model, (x, labels), steps=1, batch_size=8, lr=1e-9, held_out=(x, labels), progress=False
    )
    loss = model.training_step((x, labels), 0)["loss"].item()
    assert history.in_sites
    assert history.held_out[0][1] == pytest.approx(loss, rel=1e-5)


@VARIANTS
def test_weights_of_plain_torch_modules_load(variant: str) -> None:
    """The original network out of nn.Conv2d alone, its masks multiplied in by hand."""
    model = model_of(variant=variant)
    for name, part in model.named_modules():
        if not isinstance(part, nn.Conv2d):
            continue
        plain = nn.Conv2d(
            part.in_channels, part.out_channels, part.kernel_size, bias=part.bias is not None
        )
        part.load_state_dict(plain.state_dict())
        assert torch.equal(part.weight, plain.weight), name


def test_a_copy_in_float64_agrees() -> None:
    for options in ({"variant": "masked"}, {"input": "embedding", "vector": 3}):
        model = model_of((3, 4, 4), **options)
        twin = copy.deepcopy(model).double()
        x, given = images(model), conditions(model)
        exact = twin(x, **given)
        assert exact.dtype == torch.float64
        torch.testing.assert_close(model(x, **given).double(), exact, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@VARIANTS
def test_samples_are_images_under_their_conditions(variant: str, channels: int) -> None:
    model = model_of((channels, 3, 4), variant=variant, classes=2, vector=3)
    given = conditions(model, 3)
    x = model.sample(3, seed=4, **given)
    assert x.shape == (3, channels, 3, 4)
    assert x.dtype == torch.int64
    alone = model.sample(1, seed=4, index=2, **{name: v[2:] for name, v in given.items()})
    assert torch.equal(alone[0], x[2])
    kept = torch.rand(3, 1, 3, 4) < 0.5
    other = model.sample(3, seed=4, given=(x, kept), **given)
    assert torch.equal(other, x)


def bad_level(value: int) -> torch.Tensor:
    x = torch.zeros(2, 1, 5, 6, dtype=torch.int64)
    x[1, 0, 3, 2] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (bad_level(4), "x must be at least 0 and below 4, got 4 in row 1, channel 0, y 3, x 2"),
        (bad_level(-1), "x must be at least 0 and below 4, got -1 in row 1, channel 0, y 3, x 2"),
        (bad_level(0).float(), "x must be int64 .*, got float32"),
        (bad_level(0)[:, :, :4], r"x must be int64 .*, got int64 \(2, 1, 4, 6\)"),
        (bad_level(0)[0], r"x must be int64 .*, got int64 \(1, 5, 6\)"),
        (bad_level(0).expand(2, 3, 5, 6), r"x must be int64 .*, got int64 \(2, 3, 5, 6\)"),
        ([1, 2], "x must be int64 .*, got list"),
    ],
)
def test_refused_images(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"log_prob: {message}"):
        model_of().log_prob(x)


@pytest.mark.parametrize(
    ("made", "given", "message"),
    [
        ({"classes": 3}, {}, "classes must be int64 .*None"),
        ({"classes": 3}, {"classes": torch.tensor([0, 3])}, "classes must be .* below 3, got 3"),
        ({"classes": 3}, {"classes": torch.zeros(2)}, "classes must be int64 .*, got float32"),
        ({"vector": 3}, {"vector": torch.zeros(2, 2)}, r"vector must be float32 .*\(2, 2\)"),
        ({"features": 3}, {"features": torch.zeros(2, 3, 5, 5)}, "features must be float32 .*"),
        ({}, {"classes": torch.tensor([0, 1])}, "classes must be None"),
    ],
)
def test_refused_conditions(made: Any, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"log_prob: {message}"):
        model_of(**made).log_prob(bad_level(0), **given)


def test_forward_without_a_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="forward: classes must be a tensor for this model"):
        model_of(classes=3)(bad_level(0))
