"""Networks of one's own play: the lines that the README has."""

from __future__ import annotations

from typing import Any

import pytest

from genfast.data import eight_centres
from genfast.metrics import mode_coverage

LINES = """
import genfast
from torch import nn

def network(inputs, outputs):
    layers = nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(128, outputs))

points = genfast.data.eight_gaussians(8192)                 # or images, and a generator of images
model = genfast.GAN((2,), latent=2, generator=network(2, 2), discriminator=network(2, 1), r1=0.1)
genfast.fit(model, points, steps=2000, batch_size=256, lr=2e-3, ema=0.99)
print(model.sample(8, seed=0))
"""


def played(lines: str) -> Any:
    scope: dict[str, Any] = {"print": lambda value: None}
    exec(lines, scope)
    return scope["model"]


@pytest.mark.usefixtures("one_thread")
def test_lines_of_the_readme() -> None:
    model = played(LINES.replace("steps=2000", "steps=20"))
    assert model.own == ("generator", "discriminator")
    assert model.sample(8, seed=0).shape == (8, 2)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_they_learn_all_modes() -> None:

    model = played(LINES)
    assert mode_coverage(model.sample(2000, seed=1), eight_centres(), within=0.3).covered == 8
