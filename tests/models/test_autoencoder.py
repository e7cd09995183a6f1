"""Autoencoder: through a bottleneck and out again."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from latent_models import DATA, autoencoder_of, examples, labels
from torch import nn

from genfast.models.autoencoder import Autoencoder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("options", [{}, {"classes": 3}], ids=str)
def test_shapes(kind: str, options: dict[str, Any]) -> None:
    model = autoencoder_of(kind, **options)
    for n in (5, 1, 0):
        x, given = examples(model, n), labels(model, n)
        z = model.encode(x, given)
        assert z.shape == (n, 3)
        assert torch.equal(model.reconstruct(x, given), model.decode(z, given))
        assert model.reconstruct(x, given).shape == (n, *model.shape)


@pytest.mark.parametrize("loss", ["squared", "bernoulli"])
def test_the_loss_is_of_shares(loss: Any) -> None:
    model = autoencoder_of("greys", loss=loss, classes=2)
    x, given = examples(model), labels(model)
    step = model.training_step((x, given), 0)
    made, share = model.reconstruct(x, given), model.from_levels(x)
    if loss == "squared":
        raw = (model.decoded_parameters("test", model.encode(x, given), given)[:, 0] + 1) / 2
        expected = (raw - share).square().mean()
    else:
        expected = -(share * made.log() + (1 - share) * (1 - made).log()).mean()
    torch.testing.assert_close(step["loss"], expected)
    torch.testing.assert_close(model.training_step((share, given), 0), step)
    nothing = model.training_step((x[:0], given[:0]), 0)  # type: ignore[index]
    assert nothing["loss"].item() == 0.0


def test_it_learns_as_much_as_principal_components() -> None:
    """Linear, of real numbers on a plane in seven dimensions."""
    torch.manual_seed(1)
    x = torch.randn(200, 2) @ torch.randn(2, 7) + torch.randn(7)
    model = Autoencoder((7,), latent=2, encoder=nn.Linear(7, 2), decoder=nn.Linear(2, 7))
    optimizer = torch.optim.Adam(model.parameter_groups(), lr=0.02)
    for step in range(800):
        optimizer.zero_grad()
        loss = model.training_step(x, step)["loss"]
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


def test_refused() -> None:
    with pytest.raises(ValueError, match="Autoencoder: loss must be one of squared, bernoulli"):
        Autoencoder((7,), loss="absolute")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Autoencoder: loss 'bernoulli' needs levels"):
        Autoencoder((7,), loss="bernoulli")
    with pytest.raises(ValueError, match=r"Autoencoder: encoder must give \(5, 3\) for"):
        Autoencoder((7,), latent=3, encoder=nn.Linear(7, 6)).encode(torch.zeros(5, 7))
    with pytest.raises(ValueError, match="encode: x must be finite"):
        autoencoder_of("reals").encode(torch.full((1, 7), torch.nan))
