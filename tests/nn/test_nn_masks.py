"""Masks: which taps live, for which channels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genfast.nn import causal_mask, group_sizes


def rows(text: str) -> torch.Tensor:
    return torch.tensor([[float(c) for c in line] for line in text.split()])


@pytest.mark.parametrize(
    ("kind", "size", "drawn"),
    [
        ("A", 5, "11111 11111 11000 00000 00000"),
        ("B", 5, "11111 11111 11100 00000 00000"),
        ("A", (1, 7), "1110000"),
        ("B", (1, 3), "110"),
        ("A", (3, 1), "1 0 0"),
        ("A", 1, "0"),
        ("B", 1, "1"),
    ],
)
def test_mask_is_as_drawn(kind: Any, size: Any, drawn: str) -> None:
    assert torch.equal(causal_mask(kind, size)[0, 0], rows(drawn))


@pytest.mark.parametrize(
    ("kind", "at_the_pixel"), [("A", "000 100 110"), ("B", "100 110 111")], ids="AB"
)
def test_groups_are_seen_in_order_at_the_pixel_itself(kind: Any, at_the_pixel: str) -> None:
    mask = causal_mask(kind, 3, 6, 3, 3)
    assert torch.equal(mask[:3, :, 1, 1], rows(at_the_pixel))
    assert torch.equal(mask[3:], mask[:3])
    others = causal_mask("A", 3)[0, 0]
    others[1, 1] = 1
    for to in range(3):
        for of in range(3):
            mask[to, of, 1, 1] = 1
            assert torch.equal(mask[to, of], others)


@pytest.mark.parametrize(
    ("channels", "groups", "sizes"),
    [(32, 3, (11, 11, 10)), (1, 3, (1, 0, 0)), (6, 3, (2, 2, 2)), (5, 1, (5,)), (17, 2, (9, 8))],
)
def test_groups_are_as_equal_as_can_be(channels: int, groups: int, sizes: Any) -> None:
    assert group_sizes(channels, groups) == sizes


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("A", 4, "kernel_size must be odd, got 4"),
        ("A", (3, 2), r"kernel_size must be odd, got \(3, 2\)"),
        ("A", (3, 3, 3), "kernel_size must be one number or two"),
        ("A", 0, "kernel_size must be at least 1, got 0"),
        ("A", 3.0, "kernel_size must be an integer, got 3.0"),
        ("C", 3, "kind must be 'A' or 'B', got 'C'"),
    ],
)
def test_refused_masks(kind: Any, size: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"causal_mask: {message}"):
        causal_mask(kind, size)
