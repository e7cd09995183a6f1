"""MaskedConv2d and VerticalConv2d: torch's convolutions, of the live taps alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from genfast.nn import MaskedConv2d, VerticalConv2d, causal_mask


def seen(layer: nn.Module, channels: int, at: tuple[int, int, int], side: int = 9) -> torch.Tensor:
    """bool (in, side, side): what an output channel at (channel, y, x) depends on."""
    x = torch.randn(1, channels, side, side, requires_grad=True)
    channel, row, column = at
    layer(x)[0, channel, row, column].backward()
    assert x.grad is not None
    return x.grad[0] != 0


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("size", [1, 3, 7, (1, 5), (3, 1)])
def test_masked_conv_is_torch_s_of_masked_weights(kind: Any, size: Any) -> None:
    layer = MaskedConv2d(kind, 2, 5, size)
    x = torch.randn(3, 2, 9, 7)
    sizes = size if isinstance(size, tuple) else (size, size)
    weight = layer.weight * causal_mask(kind, size)
    expected = conv2d(x, weight, layer.bias, padding=(sizes[0] // 2, sizes[1] // 2))
    torch.testing.assert_close(layer(x), expected)


def test_masked_conv_takes_and_gives_torch_s_weights() -> None:
    plain, masked = nn.Conv2d(2, 4, 3, padding=1), MaskedConv2d("B", 2, 4, 3)
    masked.load_state_dict(plain.state_dict())
    assert masked.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(1, 2, 5, 5)
    # The last pixel of the last row sees nothing that the mask would hide but zeros outside.
    torch.testing.assert_close(masked(x)[..., -1, -1], plain(x)[..., -1, -1])
    assert not torch.allclose(masked(x)[..., 0, 0], plain(x)[..., 0, 0])


@pytest.mark.parametrize("kind", ["A", "B"])
def test_masked_conv_sees_what_is_above_and_left(kind: Any) -> None:
    layer = MaskedConv2d(kind, 1, 1, 5)
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[2:4, 2:7] = True
    expected[4, 2:4] = True
    expected[4, 4] = kind == "B"
    assert torch.equal(seen(layer, 1, (0, 4, 4))[0], expected)


@pytest.mark.parametrize("kind", ["A", "B"])
def test_groups_see_the_groups_before_them_at_the_pixel(kind: Any) -> None:
    inputs, outputs = (2, 1, 1), (3, 2, 0, 3, 2, 0)
    layer = MaskedConv2d(kind, 4, 10, 3, in_groups=inputs, out_groups=outputs)
    of_input = [0, 0, 1, 2]
    of_output = [0, 0, 0, 1, 1] * 2
    for channel, to in enumerate(of_output):
        got = seen(layer, 4, (channel, 4, 4))
        for source, of in enumerate(of_input):
            assert got[source, 3, 3:6].all()
            assert got[source, 4, 3]
            assert got[source, 4, 4] == (of < to if kind == "A" else of <= to)
            assert not got[source, 4, 5:].any()
            assert not got[source, 5:].any()


def test_dead_weights_have_no_gradient_and_no_effect() -> None:
    layer = MaskedConv2d("A", 3, 4, 5)
    x = torch.randn(2, 3, 6, 6)
    before = layer(x)
    before.sum().backward()
    dead = (layer.weight_mask() == 0).expand_as(layer.weight)
    assert layer.weight.grad is not None
    assert not layer.weight.grad[dead].any()
    layer.weight.data[dead] = 100
    assert torch.equal(layer(x), before)


@pytest.mark.parametrize("k", [3, 5, 7])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_vertical_conv_is_the_live_rows_of_a_whole_one(kind: Any, k: int) -> None:
    layer = VerticalConv2d(kind, 2, 3, k).double()
    rows = layer.weight.shape[2]
    assert rows == k // 2 + (kind == "B")
    whole = pad(layer.weight, (0, 0, 0, k - rows))
    for shape in ((9, 7), (1, 1), (1, 7), (5, 1)):
        x = torch.randn(2, 2, *shape, dtype=torch.float64)
        torch.testing.assert_close(layer(x), conv2d(x, whole, layer.bias, padding=k // 2))


@pytest.mark.parametrize("kind", ["A", "B"])
def test_vertical_conv_sees_rows_above_and_of_kind_b_its_own(kind: Any) -> None:
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[2:4, 2:7] = True
    expected[4, 2:7] = kind == "B"
    assert torch.equal(seen(VerticalConv2d(kind, 1, 1, 5), 1, (0, 4, 4))[0], expected)


def test_layers_work_in_float64_and_survive_copies() -> None:
    layer = MaskedConv2d("B", 2, 3, 3, in_groups=(1, 1), out_groups=(2, 1))
    x = torch.randn(1, 2, 4, 4)
    twin = copy.deepcopy(layer).double()
    assert twin.mask.dtype == torch.float64
    torch.testing.assert_close(twin(x.double()).float(), layer(x))


def test_a_mask_is_real_on_the_meta_device() -> None:
    with torch.device("meta"):
        layer = MaskedConv2d("A", 1, 8, 7)
    assert layer.weight.is_meta
    assert torch.equal(layer.mask, causal_mask("A", 7))


def test_repr_tells_kinds_and_groups_apart() -> None:
    layers = [
        MaskedConv2d("A", 2, 2, 3),
        MaskedConv2d("B", 2, 2, 3),
        MaskedConv2d("B", 2, 2, 3, in_groups=(1, 1), out_groups=(1, 1)),
        VerticalConv2d("A", 2, 2, 3),
        VerticalConv2d("B", 2, 2, 3),
    ]
    assert len({repr(layer) for layer in layers}) == len(layers)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("A", 1, 2, 4), {}, "kernel_size must be odd, got 4"),
        (("C", 1, 2, 3), {}, "kind must be 'A' or 'B', got 'C'"),
        (("A", 0, 2, 3), {}, "in_channels must be at least 1, got 0"),
        (("A", 1, 0, 3), {}, "out_channels must be at least 1, got 0"),
        (("A", 3, 2, 3), {"in_groups": (1, 1)}, r"in_groups must add up to 3, got \(1, 1\)"),
        (("A", 3, 2, 3), {"in_groups": (4, -1)}, r"in_groups must add up to 3, got \(4, -1\)"),
        (("A", 2, 2, 3), {"out_groups": ()}, r"out_groups must add up to 2, got \(\)"),
        (
            ("A", 2, 3, 3),
            {"in_groups": (1, 1), "out_groups": (1, 1, 1)},
            "out_groups must be as many as in_groups, or a multiple of 2, got 3",
        ),
    ],
)
def test_refused_masked_convs(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"MaskedConv2d: {message}"):
        MaskedConv2d(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("A", 1, 2, 4), "kernel_size must be odd, got 4"),
        (("A", 1, 2, 1), "kernel_size must be at least 3, got 1"),
        (("X", 1, 2, 3), "kind must be 'A' or 'B', got 'X'"),
        (("A", 1, 0, 3), "out_channels must be at least 1, got 0"),
    ],
)
def test_refused_vertical_convs(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"VerticalConv2d: {message}"):
        VerticalConv2d(*arguments)
