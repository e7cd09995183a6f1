"""Independent pixels: a distribution, the frequencies themselves, and as good as they get."""

from __future__ import annotations

import math

import pytest
import torch

from genfast.data import Images, PixelFrequencies, digits


def test_bits_are_those_of_the_formula() -> None:
    x = torch.randint(3, (9, 2, 2, 1))
    labels = torch.arange(9) % 2
    train = Images(x, labels, 3, "some", ("even", "odd"))
    model = PixelFrequencies(train)
    image, label, a = torch.tensor([0, 2, 1, 1]).view(1, 2, 2, 1), 1, model.smoothing
    nats = 0.0
    for channel in range(2):
        for row in range(2):
            value = int(image[0, channel, row, 0])
            mine = x[labels == label, channel, row, 0]
            nats -= math.log((int((mine == value).sum()) + a) / (len(mine) + 3 * a))
    held = Images(image, torch.tensor([label]), 3, "one", ("even", "odd"))
    assert model.bits_per_dim(held) == pytest.approx(nats / 4 / math.log(2), rel=1e-12)


def test_probabilities_sum_to_one() -> None:
    train = Images(torch.randint(5, (7, 1, 1, 1)), None, 5, "some")
    model = PixelFrequencies(train)
    each = [
        2 ** -model.bits_per_dim(Images(torch.full((1, 1, 1, 1), v), None, 5, "one"))
        for v in range(5)
    ]
    assert math.fsum(each) == pytest.approx(1, abs=1e-12)


def test_smoothing_is_about_the_best_for_unseen_digits() -> None:
    train, held = digits().split(seed=7)
    model = PixelFrequencies(train)
    chosen = model.bits_per_dim(held)
    bits = []
    for k in range(-10, 5):
        model.smoothing = 2.0**k
        bits.append(model.bits_per_dim(held))
    assert chosen < min(bits) + 0.005
    assert max(bits) > chosen + 0.1


def test_labels_help() -> None:
    train, held = digits().split(seed=7)
    blind = PixelFrequencies(train.unlabelled()).bits_per_dim(held.unlabelled())
    assert 2.1 < PixelFrequencies(train).bits_per_dim(held) < blind - 0.1
