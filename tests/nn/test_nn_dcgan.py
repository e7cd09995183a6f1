"""DCGAN's networks: sizes, layers as the paper has them, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from genfast.files.limits import MOST_CHANNELS, MOST_SIDE
from genfast.nn import DCGANDiscriminator, DCGANGenerator


@pytest.mark.parametrize(
    ("shape", "base"),
    [
        ((1, 8, 8), (2, 2)),
        ((1, 28, 28), (7, 7)),
        ((3, 32, 32), (4, 4)),
        ((3, 64, 64), (4, 4)),
        ((2, 4, 20), (1, 5)),
        ((1, 36, 48), (9, 12)),
        ((1, 128, 64), (8, 4)),
    ],
)
def test_sides_are_halved_to_the_base(shape: tuple[int, int, int], base: Any) -> None:
    generator = DCGANGenerator(5, shape, 2, condition=3)
    discriminator = DCGANDiscriminator(shape, 2, condition=3)
    z, condition = torch.randn(2, 5), torch.eye(3)[:2]
    made = generator(z, condition)
    assert made.shape == (2, *shape)
    assert made.abs().max() <= 1
    assert discriminator(made, condition).shape == (2,)
    maps = [m for m in discriminator.downs if isinstance(m, nn.Conv2d)]
    doublings = len(maps)
    assert (shape[1] >> doublings, shape[2] >> doublings) == base
    assert discriminator.readout.in_features == maps[-1].out_channels * base[0] * base[1]


def test_features_double_to_eight_times() -> None:
    discriminator = DCGANDiscriminator((3, 256, 256), 4)
    widths = [m.out_channels for m in discriminator.downs if isinstance(m, nn.Conv2d)]
    assert widths == [4, 8, 16, 32, 32, 32]
    generator = DCGANGenerator(7, (3, 64, 64), 4)
    ups = [m for m in generator.ups if isinstance(m, nn.ConvTranspose2d)]
    assert [m.in_channels for m in ups] == [32, 16, 8, 4]


def test_layers_are_the_paper_s() -> None:
    generator, discriminator = DCGANGenerator(3, (1, 8, 8), 4), DCGANDiscriminator((1, 8, 8), 4)
    kinds = [type(m).__name__ for m in (*generator.first, *generator.ups)]
    assert kinds == [
        *("BatchNorm2d", "ReLU", "ConvTranspose2d", "BatchNorm2d", "ReLU"),
        *("ConvTranspose2d", "Tanh"),
    ]
    kinds = [type(m).__name__ for m in discriminator.downs]
    assert kinds == ["Conv2d", "LeakyReLU", "Conv2d", "BatchNorm2d", "LeakyReLU", "Flatten"]
    slopes = {m.negative_slope for m in discriminator.downs if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}


def test_weights_are_small_normals() -> None:
    torch.manual_seed(0)
    for model in (DCGANGenerator(64, (3, 16, 16), 64), DCGANDiscriminator((3, 16, 16), 64)):
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                assert weight.std().item() == pytest.approx(0.02, rel=0.1), name
            elif name.endswith("bias"):
                assert not weight.any(), name
            else:
                assert (weight - 1).std().item() == pytest.approx(0.02, rel=0.3), name


@pytest.mark.parametrize(
    ("norm", "kinds"), [("batch", {nn.BatchNorm2d}), ("group", {nn.GroupNorm}), (None, set())]
)
def test_norms(norm: str | None, kinds: set[type]) -> None:
    generator = DCGANGenerator(3, (1, 8, 8), 6, norm=norm, bounded=False)
    discriminator = DCGANDiscriminator((1, 8, 8), 6, norm=norm)
    known = (nn.BatchNorm2d, nn.GroupNorm)
    for model in (generator, discriminator):
        found = {kind for kind in known for m in model.modules() if isinstance(m, kind)}
        assert found == kinds
    assert (100 * generator(100 * torch.randn(4, 3))).abs().max() > 1


def test_a_row_s_condition_changes_its_image_and_its_score_alone() -> None:
    generator = DCGANGenerator(4, (1, 8, 8), 8, condition=3, norm="group")
    discriminator = DCGANDiscriminator((1, 8, 8), 8, condition=3, norm="group")
    z, one, other = torch.randn(2, 4), torch.eye(3)[[0, 1]], torch.eye(3)[[0, 2]]
    x, y = generator(z, one), generator(z, other)
    torch.testing.assert_close(x[0], y[0])
    assert (x[1] - y[1]).abs().max() > 0
    scores, changed = discriminator(x, one), discriminator(x, other)
    torch.testing.assert_close(scores[0], changed[0])
    assert scores[1] != changed[1]


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (1, 27, 27),
            {},
            "sides of an image must be multiples of 4, got 27x27; "
            "the nearest that it can make are 28x28",
        ),
        ((1, 8, 9), {}, "got 8x9; the nearest that it can make are 8x8"),
        ((1, 1, 30), {}, "got 1x30; the nearest that it can make are 4x32"),
        ((8, 8), {}, r"shape must be \(channels, rows, columns\), got \(8, 8\)"),
        ((MOST_CHANNELS + 1, 8, 8), {}, "channels of shape must be at most 16, got 17"),
        ((1, 8, MOST_SIDE + 4), {}, "columns of shape must be at most 16384"),
        ((1, 8, 8), {"width": 0}, "width must be at least 1, got 0"),
        ((1, 8, 8), {"width": 8193}, "width must be at most 8192, got 8193"),
        ((1, 8, 8), {"condition": -1}, "condition must be at least 1, got -1"),
        ((1, 8, 8), {"norm": "layer"}, "norm must be 'batch', 'group' or None, got 'layer'"),
    ],
)
def test_refused(shape: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DCGANGenerator(4, shape, **options)
    with pytest.raises(ValueError, match=message):
        DCGANDiscriminator(shape, **options)
