"""Bits a dimension are those of log_prob, whatever the batches."""

from __future__ import annotations

import math

import pytest
import torch

from genfast import bits_per_dim
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.models.pixelcnn import PixelCNN

pytestmark = pytest.mark.usefixtures("one_thread")


def test_bits_of_images_are_log_prob_over_pixels_and_channels() -> None:
    model = PixelCNN((2, 3, 4), 5, width=6, depth=1, classes=3)
    x, classes = torch.randint(5, (17, 2, 3, 4)), torch.arange(17) % 3
    nats = -model.log_prob(x, classes=classes).double().sum().item()
    for size in (1, 5, 17, 64):
        bits = bits_per_dim(model, x, classes=classes, batch_size=size)
        assert bits == pytest.approx(nats / math.log(2) / (17 * 24), rel=1e-6)
    assert bits_per_dim(model, x, classes=classes.roll(1)) != pytest.approx(bits, rel=1e-6)


def test_a_uniform_model_spends_the_bits_of_its_levels() -> None:
    model = PixelCNN((1, 2, 2), 16, width=4, depth=1)
    model.network.readout.weight.data.zero_()
    model.network.readout.bias.data.zero_()
    assert bits_per_dim(model, torch.randint(16, (3, 1, 2, 2))) == pytest.approx(4.0)


def test_sequences_count_the_sites_within_their_lengths() -> None:
    model = SequenceModel(Categorical(5), width=6, dropout=0.5).train()
    x, lengths = torch.randint(5, (4, 7)), torch.tensor([7, 0, 3, 5])
    nats = bits_per_dim(model, x, lengths=lengths) * 15 * math.log(2)
    assert all(part.training for part in model.modules())
    assert nats == pytest.approx(-model.eval().log_prob(x, lengths).sum().item(), rel=1e-5)
    with pytest.raises(ValueError, match="lengths must not all be 0"):
        bits_per_dim(model, x, lengths=lengths * 0)
