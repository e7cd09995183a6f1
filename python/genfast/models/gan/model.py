"""GAN: a generator and a discriminator that learn from each other, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast.models.examples import batch_of, check_examples, checked_levels, checked_shape
from genfast.models.gan import config as arguments
from genfast.models.gan import players
from genfast.models.gan.objectives import OBJECTIVES
from genfast.models.gan.penalties import gradient_penalty, zero_centred_penalty
from genfast.models.latent import LatentModel
from genfast.models.registry import register, save_registered
from genfast.models.turn import Turn
from genfast.random import fold, normals, uniforms

__all__ = ["GAN"]

_PLAYERS = ("discriminator", "generator")


@register
class GAN(LatentModel):
    """z ~ N(0, 1), x = G(z), while D learns to tell x from data (Goodfellow et al. 2014)::

        z --G--> fake --D--> score     G wants it high, D low
                 data --D--> score     D wants it high

    `genfast.fit` lets the players move in turn. Networks of your own are called as `generator(z)`,
    float32 (N, L) to (N, *shape), in [-1, 1] where the data have levels; and `discriminator(x)`,
    such rows to (N,) or (N, 1) scores; with `classes=K` both get one-hot labels, float32 (N, K), as
    a second argument.

    A learning rate of 5e-4 to 2e-3 and a moving average of the weights, `fit(ema=0.998)`, suit
    small games; the optimiser has the betas of each objective's source and no weight decay. Without
    batch normalisation, as in "mlp", a penalty such as r1=0.1 keeps a game from losing modes.

    Args:
        shape: Of one sample: (C, H, W) of an image, (D,) of a vector.
        levels: Values of an element of the data, 2 to 65,536; None for real numbers.
        latent: L, width of a latent, 1 to 65,536.
        objective: What the players want; `genfast.models.gan.objectives` has the formulas.
        classes: Number of labels that a sample may have, None for none.
        architecture: "mlp", fully connected layers; or "dcgan", convolutions, for images whose
            sides are multiples of 4 (`genfast.nn.DCGANGenerator`).
        width: Units of a layer of "mlp", 1 to 65,536; features of the largest map of "dcgan", 1 to
            8,192.
        depth: Hidden layers of "mlp", 1 to 1,024.
        norm: Of "dcgan": "batch" or "group" normalisation, or None. Under a penalty or spectral
            normalisation the discriminator has no batch normalisation.
        discriminator_steps: The generator moves in every so many steps, the discriminator in all.
        gradient_penalty: Weight of the penalty of "wasserstein" (Gulrajani et al. 2017).
        r1: Weight of the penalty on slopes at the data (Mescheder et al. 2018); 0 for none.
        r1_every: Steps from one such penalty, as many times as heavy, to the next (Karras et al.
            2020, "lazy").
        spectral_norm: Whether the given discriminator's layers are normalised by their largest
            singular value (Miyato et al. 2018).
        label_smoothing: How far below 1 the label of data lies (Salimans et al. 2016).
        generator, discriminator: Networks of your own in place of the given ones.

    Attributes:
        generator, discriminator: The two networks.
        own: Which of them are of your own.
        figures: What was measured of the model, by name; saved with it.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int | None = None,
        *,
        latent: int = 64,
        objective: str = "non-saturating",
        classes: int | None = None,
        architecture: Literal["mlp", "dcgan"] = "mlp",
        width: int = 64,
        depth: int = 3,
        norm: Literal["batch", "group"] | None = "batch",
        discriminator_steps: int = 1,
        gradient_penalty: float = 10.0,
        r1: float = 0.0,
        r1_every: int = 1,
        spectral_norm: bool = False,
        label_smoothing: float = 0.0,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.levels = checked_shape("GAN", shape), checked_levels("GAN", levels)
        self.latent, self.classes, self.width, self.depth = arguments.checked_sizes(
            latent=latent, classes=classes, width=width, depth=depth
        )
        self.discriminator_steps, self.r1_every = arguments.checked_sizes(
            discriminator_steps=discriminator_steps, r1_every=r1_every
        )
        arguments.check_choices(objective, architecture, norm)
        arguments.check_weights(
            objective, label_smoothing, gradient_penalty=gradient_penalty, r1=r1
        )
        arguments.check_modules(spectral_norm, generator=generator, discriminator=discriminator)
        self.objective, self.architecture, self.norm = objective, architecture, norm
        self.gradient_penalty, self.r1 = gradient_penalty, r1
        self.spectral_norm, self.label_smoothing = spectral_norm, label_smoothing
        self.figures: dict[str, Any] = {}
        given = {"generator": generator, "discriminator": discriminator}
        self.own = tuple(name for name, module in given.items() if module is not None)
        self.generator = players.given_generator(self) if generator is None else generator
        self.discriminator = (
            players.given_discriminator(self) if discriminator is None else discriminator
        )

    def extra_repr(self) -> str:
        return (
            f"shape={self.shape}, levels={self.levels}, latent={self.latent}, "
            f"classes={self.classes}, objective={self.objective!r}"
        )

    @property
    def penalised(self) -> bool:
        """Whether the discriminator's loss has a penalty."""
        return self.r1 > 0 or (self.objective == "wasserstein" and self.gradient_penalty > 0)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON; `from_config` makes the model again, with new
        weights.

        Raises:
            ValueError: A module of your own is not registered, with `config()` and `from_config`.
        """
        return arguments.config_of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> GAN:
        """A model of the arguments that `config()` wrote down.

        Raises:
            ValueError: A key is missing or unknown, or an argument is out of range.
        """
        return cls(**arguments.arguments_of(config))

    @property
    def draw_example(self) -> str:
        """Lines of Python for the model card, which draw from `model` and show it."""
        if self.classes is None:
            return "x = model.sample(4, seed=0)\nprint(x)"
        labels = f"classes=torch.arange(4) % {self.classes}"
        return f"import torch\n\nx = model.sample(4, seed=0, {labels})\nprint(x)"

    def check_saving(self) -> None:
        """ValueError unless the model can be saved: its networks can be made again."""
        self.config()

    def save(self, path: str | Path, figures: Mapping[str, Any] | None = None) -> None:
        """Writes a folder that `genfast.load` reads; see `genfast.files.save`.

        Args:
            path: The folder; made where it is missing, replaced where it holds a model.
            figures: What was measured of the model, JSON; `self.figures` when None.

        Raises:
            ValueError: A class is not registered, a weight is not finite, or the modules are not
                what `config()` says; nothing has been written.
            OSError: The folder cannot be written; a model that was there is there still.
        """
        save_registered(self, path, figures)

    def decode(
        self, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n *shape"]:
        """What the generator makes of latents, differentiable.

        Args:
            z: float32 (N, L).
            classes: int64 (N,), where the model has classes.

        Returns:
            float32 (N, *shape): shares of the highest level, or real numbers as the data are.

        Raises:
            ValueError: Latents or labels are wrong, or the generator gives another shape.
        """
        self.check_latents("decode: z", z)
        condition = self.condition("decode", z.shape[0], classes)
        made = players.generated(self.generator, self.shape, z, *condition)
        return made if self.levels is None else (made + 1) / 2

    def score(self, x: Tensor, classes: Int64[Tensor, " n"] | None = None) -> Float[Tensor, " n"]:
        """How real the discriminator holds rows to be; higher is more so.

        Args:
            x: int64 (N, *shape) in [0, levels), or float32 (N, *shape).
            classes: int64 (N,), where the model has classes.

        Raises:
            ValueError: Data or labels are wrong, or the discriminator gives another shape.
        """
        check_examples("score: x", x, self)
        condition = self.condition("score", len(x), classes)
        return players.scored(self.discriminator, self._seen(x), *condition)

    def turns(self, step: int) -> tuple[str, ...]:
        """Who moves in a step, in order."""
        return _PLAYERS if (step + 1) % self.discriminator_steps == 0 else _PLAYERS[:1]

    def training_step(self, batch: Any, step: int, turn: Turn) -> dict[str, Any]:
        """The loss of one player on a batch.

        Args:
            batch: Data, int64 (N, *shape) in [0, levels) or float32 (N, *shape); or a tuple of them
                and int64 (N,) labels; or a dict with the keys x and classes.
            step: Number of the step.
            turn: Whose it is, and the random numbers of the rows; nobody's is looked at as the
                discriminator's.

        Returns:
            `loss`, a scalar; `fake`, the mean score of what the generator drew; of the
            discriminator also `real`, that of the data, and `penalty`, where it has one in this
            step. Without gradients there is no penalty.

        Raises:
            ValueError: The batch is empty, not finite, of another shape or out of range, a network
                gives another shape, or nobody of that name plays.
        """
        x, classes = batch_of("training_step", batch)
        check_examples("training_step: x", x, self)
        players.check_rows(self, len(x))
        condition = self.condition("training_step", len(x), classes)
        player = _PLAYERS[0] if turn.player is None else turn.player
        if player not in _PLAYERS:
            raise ValueError(
                f"training_step: turn.player must be {' or '.join(_PLAYERS)}, got {player!r}"
            )
        seed = fold(turn.seed, "latent", _PLAYERS.index(player))
        z = normals(seed, len(x), self.latent, index=turn.index, device=x.device)
        if player == "generator":
            return self._generator_turn(z, condition)
        return self._discriminator_turn(self._seen(x), z, condition, step, turn)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters for an optimiser, those of each player in a group."""
        betas = OBJECTIVES[self.objective].betas
        return [
            {
                "params": list(getattr(self, name).parameters()),
                "player": name,
                "betas": betas,
                "weight_decay": 0.0,
            }
            for name in _PLAYERS
        ]

    def _generator_turn(self, z: Tensor, condition: tuple[Tensor, ...]) -> dict[str, Any]:
        fake = players.generated(self.generator, self.shape, z, *condition)
        scores = players.scored(self.discriminator, fake, *condition)
        loss = OBJECTIVES[self.objective].generator(scores)
        return {"loss": loss, "fake": scores.detach().mean()}

    def _discriminator_turn(
        self, real: Tensor, z: Tensor, condition: tuple[Tensor, ...], step: int, turn: Turn
    ) -> dict[str, Any]:
        with torch.no_grad():
            fake = players.generated(self.generator, self.shape, z, *condition)
        learning = torch.is_grad_enabled()
        flat = learning and self.r1 > 0 and step % self.r1_every == 0
        real = real.detach().requires_grad_() if flat else real

        def score(x: Tensor) -> Tensor:
            return players.scored(self.discriminator, x, *condition)

        scores, fake_scores = score(real), score(fake)
        rule = OBJECTIVES[self.objective]
        loss = rule.discriminator(scores, fake_scores, self.label_smoothing)
        numbers = {"real": scores.detach().mean(), "fake": fake_scores.detach().mean()}
        penalties = []
        if flat:
            penalties.append(self.r1 * self.r1_every * zero_centred_penalty(scores, real))
        if learning and self.objective == "wasserstein" and self.gradient_penalty > 0:
            seed = fold(turn.seed, "noise")
            share = uniforms(seed, len(real), 1, index=turn.index, device=real.device)
            penalties.append(self.gradient_penalty * gradient_penalty(score, real, fake, share))
        if penalties:
            penalty = torch.stack(penalties).sum()
            loss, numbers["penalty"] = loss + penalty, penalty.detach()
        return {"loss": loss, **numbers}

    def _seen(self, x: Tensor) -> Float[Tensor, " n *shape"]:
        """Data as the discriminator sees them: levels from -1 to 1, real numbers as they are."""
        share = self.from_levels(x)
        return share if self.levels is None else 2 * share - 1
