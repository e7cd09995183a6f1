"""Blocks: what they see, what their gates compute, how conditions enter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d

from genfast.nn import Conditioning, GatedBlock, ResidualBlock, gate


def stacked(depth: int, groups: int = 1) -> torch.nn.ModuleList:
    """Gated layers of 3x3 kernels over `groups` input channels, 4 features a channel group."""
    width = 4 * groups
    return torch.nn.ModuleList(
        GatedBlock(
            "B" if layer else "A",
            width if layer else groups,
            width,
            3,
            6,
            in_groups=(4,) * groups if layer else (1,) * groups,
            last=layer == depth - 1,
        )
        for layer in range(depth)
    )


def gated_reach(depth: int, row: int, column: int) -> torch.Tensor:
    """bool (9, 9): what the skips of `depth` layers see of an image of one channel."""
    torch.manual_seed(1)
    x = torch.randn(1, 1, 9, 9, dtype=torch.float64, requires_grad=True)
    v = h = x
    total: Any = 0
    for block in stacked(depth).double():
        v, h, skip = block(v, h)
        total = total + skip[0, :, row, column].sum()
    total.backward()
    assert x.grad is not None
    return x.grad[0, 0] != 0


def test_a_gate_is_half_tanh_half_sigmoid() -> None:
    a = torch.randn(2, 6, 3, 3)
    torch.testing.assert_close(gate(a), torch.tanh(a[:, :3]) * torch.sigmoid(a[:, 3:]))


def test_one_gated_layer_sees_its_kernel() -> None:
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[3, 3:6] = True
    expected[4, 3] = True
    assert torch.equal(gated_reach(1, 4, 4), expected)


def test_gated_layers_have_no_blind_spot() -> None:
    """Enough layers see all that is drawn before the pixel, and nothing else."""
    drawn = torch.arange(81).reshape(9, 9) < 4 * 9 + 4
    assert torch.equal(gated_reach(9, 4, 4), drawn)


def test_gated_block_is_the_equations() -> None:
    block = GatedBlock("B", 5, 5, 3, 7, classes=3).double()
    v, h = torch.randn(2, 2, 5, 6, 4, dtype=torch.float64)
    labels = torch.tensor([2, 0])
    got = block(v, h, classes=labels)
    whole = torch.zeros(10, 5, 3, 3, dtype=torch.float64)
    whole[:, :, :2] = block.vertical.weight
    left = block.horizontal.weight.clone()
    left[..., 2] = 0
    above = conv2d(v, whole, block.vertical.bias, padding=1)
    here = conv2d(h, left, block.horizontal.bias, padding=(0, 1))
    here = here + conv2d(above, block.across.weight)
    assert block.vertical_condition is not None
    assert block.residual is not None
    tables = [c.classes.weight for c in (block.vertical_condition, block.horizontal_condition)]
    gated = gate(here + tables[1][labels][..., None, None])
    expected = (
        gate(above + tables[0][labels][..., None, None]),
        h + conv2d(gated, block.residual.weight, block.residual.bias),
        conv2d(gated, block.skip.weight, block.skip.bias),
    )
    torch.testing.assert_close(got, expected)


def test_the_last_layer_has_nothing_that_is_not_used() -> None:
    block = GatedBlock("B", 4, 4, 3, 6, last=True, skip_bias=False, classes=2)
    x = torch.randn(1, 4, 5, 5)
    block(x, x, classes=torch.tensor([1]))[2].sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    assert block.skip.bias is None


def test_residual_block_is_the_equations() -> None:
    block = ResidualBlock(3, features=2).double()
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    features = torch.randn(2, 2, 5, 4, dtype=torch.float64)
    inner = conv2d(x.relu(), block.reduce.weight, block.reduce.bias).relu()
    masked = block.conv.weight.clone()
    masked[:, :, 1, 2] = 0
    masked[:, :, 2] = 0
    inner = conv2d(inner, masked, block.conv.bias, padding=1)
    inner = (inner + conv2d(features, block.condition.features.weight)).relu()
    expected = x + conv2d(inner, block.expand.weight, block.expand.bias)
    torch.testing.assert_close(block(x, features=features), expected)


@pytest.mark.parametrize("depth", [1, 3])
def test_groups_of_gated_layers_are_seen_in_order(depth: int) -> None:
    """Skips of group g depend on channels below g at the pixel, on all before it."""
    torch.manual_seed(2)
    for group, rows in enumerate((slice(0, 2), slice(2, 4), slice(4, 6))):
        x = torch.randn(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
        v = h = x
        total: Any = 0
        for block in stacked(depth, groups=3).double():
            v, h, skip = block(v, h)
            total = total + skip[0, rows, 2, 2].sum()
        total.backward()
        assert x.grad is not None
        assert (x.grad[0, :, 2, 2] != 0).tolist() == [channel < group for channel in range(3)]
        assert (x.grad[0, :, 2, 1] != 0).all()
        assert not x.grad[0, :, 2, 3:].any()
        assert not x.grad[0, :, 3:].any()


def test_conditions_add_up() -> None:
    layer = Conditioning(4, classes=3, vector=2, features=5)
    x, vector, features = torch.randn(2, 4, 3, 3), torch.randn(2, 2), torch.randn(2, 5, 3, 3)
    labels = torch.tensor([2, 1])
    expected = x + layer.classes.weight[labels][..., None, None]
    expected = expected + (vector @ layer.vector.weight.T)[..., None, None]
    expected = expected + conv2d(features, layer.features.weight)
    torch.testing.assert_close(layer(x, classes=labels, vector=vector, features=features), expected)
    torch.testing.assert_close(
        layer.double()(x.double(), labels, vector, features).float(), expected
    )


@pytest.mark.parametrize(
    ("made", "given", "message"),
    [
        ({"classes": 3}, {}, "classes must be a tensor for this model, got None"),
        ({}, {"vector": torch.zeros(1, 2)}, "vector must be None for this model, got a tensor"),
        ({"features": 2}, {}, "features must be a tensor for this model, got None"),
    ],
)
def test_conditions_missing_or_too_many(made: Any, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"forward: {message}"):
        Conditioning(4, **made)(torch.zeros(1, 4, 2, 2), **given)
