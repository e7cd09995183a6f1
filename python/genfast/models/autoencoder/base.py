"""What autoencoders share: an encoder and a decoder, checked, made, replaced, saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast.files.limits import MOST_CLASSES, MOST_DEPTH, MOST_WIDTH, checked_size
from genfast.models.autoencoder.networks import (
    ARCHITECTURES,
    DEFAULTS,
    Network,
    decoder_of,
    encoder_of,
)
from genfast.models.examples import check_examples, checked_levels, checked_shape
from genfast.models.latent import LatentModel
from genfast.models.modules import is_traced, module_config, module_of, output_of
from genfast.models.registry import save_registered

__all__ = ["Coder", "checked_number"]

_KEYS = ("shape", "levels", "latent", "classes", "architecture", "width", "depth")
_MODULES = ("encoder", "decoder")


class Coder(LatentModel):
    """Data to latents by `encoder`, latents to data by `decoder`, each a module that may be any.

    A family says `OPTIONS`, arguments of its own, and `codes`, numbers that its encoder gives for
    each of the latents; and sets `output`, which knows how many `parameters` a decoder gives for an
    element, and the `mean` of them.

    Attributes:
        encoder, decoder: The modules.
        figures: What was measured of the model, by name; saved with it.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ()
    codes: ClassVar[int] = 1
    output: Any
    encoder: nn.Module
    decoder: nn.Module

    def __init__(
        self,
        shape: Sequence[int],
        levels: int | None,
        *,
        latent: int,
        classes: int | None,
        architecture: str,
        width: int | None,
        depth: int | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.shape, self.levels = checked_shape(name, shape), checked_levels(name, levels)
        self.latent = checked_size(f"{name}: latent", latent, MOST_WIDTH)
        self.classes = None
        if classes is not None:
            self.classes = checked_size(f"{name}: classes", classes, MOST_CLASSES)
        if not isinstance(architecture, str) or architecture not in DEFAULTS:
            raise ValueError(
                f"{name}: architecture must be one of {', '.join(ARCHITECTURES)}, "
                f"got {architecture!r:.80}"
            )
        self.architecture, (wide, deep) = architecture, DEFAULTS[architecture]
        width, depth = wide if width is None else width, deep if depth is None else depth
        self.width = checked_size(f"{name}: width", width, MOST_WIDTH)
        self.depth = checked_size(f"{name}: depth", depth, MOST_DEPTH)
        self.figures: dict[str, Any] = {}

    def make_modules(self, **given: nn.Module | None) -> None:
        """Sets the modules: those given, the architecture's where they are None."""
        for which in _MODULES:
            module = given[which]
            if module is None:
                self._check_architecture()
                kind, arguments = self._network(which)
                module = kind.from_config(arguments)
            elif not isinstance(module, nn.Module):
                name = type(self).__name__
                raise ValueError(f"{name}: {which} must be an nn.Module, got {module!r:.80}")
            setattr(self, which, module)

    def extra_repr(self) -> str:
        """For `print`."""
        options = "".join(f", {name}={getattr(self, name)!r}" for name in self.OPTIONS)
        return (
            f"shape={self.shape}, levels={self.levels}, latent={self.latent}, "
            f"classes={self.classes}{options}"
        )

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON; `from_config` makes the model again, with new
        weights.

        Raises:
            ValueError: A module is neither the architecture's nor of a registered class.
        """
        values = {name: getattr(self, name) for name in (*_KEYS, *self.OPTIONS)}
        modules = {which: self._written(which) for which in _MODULES}
        return values | {"shape": list(self.shape)} | modules

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Coder:
        """A model of the arguments that `config()` wrote down.

        Raises:
            ValueError: A key is missing or unknown, or an argument is out of range.
        """
        name, keys = cls.__name__, (*_KEYS, *cls.OPTIONS, *_MODULES)
        for key in [*keys, *config]:
            if key not in config or key not in keys:
                what = "is missing" if key in keys else "is unknown"
                raise ValueError(f"{name}: argument {key[:40]!r} {what}")
        modules = {
            which: None if config[which] is None else module_of(f"{name}: {which}", config[which])
            for which in _MODULES
        }
        return cls(**{**config, **modules})

    def check_saving(self) -> None:
        """ValueError unless the model can be saved: its modules can be made again."""
        self.config()

    def save(self, path: str | Path, figures: Mapping[str, Any] | None = None) -> None:
        """Writes a folder that `genfast.load` reads; see `genfast.files.save`.

        Args:
            path: The folder; made where it is missing, replaced where it holds a model.
            figures: What was measured of the model, JSON; `self.figures` when None.

        Raises:
            ValueError: A module is of a class that is not registered, a weight is not finite, or
                the modules are not what `config()` says; nothing has been written.
            OSError: The folder cannot be written; a model that was there is there still.
        """
        save_registered(self, path, figures)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters for an optimiser: matrices decay, biases do not."""
        decays = [p for p in self.parameters() if p.ndim > 1]
        rest = [p for p in self.parameters() if p.ndim <= 1]
        return [{"params": decays}, {"params": rest, "weight_decay": 0.0}]

    def decode(
        self, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n *shape"]:
        """The mean of the data that latents stand for, differentiable.

        Args:
            z: float32 (N, L).
            classes: int64 (N,), where the model has classes.

        Returns:
            float32 (N, *shape): shares of the highest level, or real numbers as the data are.

        Raises:
            ValueError: An argument is wrong, or the decoder gives another shape.
        """
        self.check_latents("decode: z", z)
        mean: Tensor = self.output.mean(self.decoded_parameters("decode", z, classes))
        return mean

    def inputs(self, x: Tensor) -> Float[Tensor, " n *shape"]:
        """What the encoder sees: levels from -1 to 1, real numbers as they are."""
        return x.to(self.dtype) if self.levels is None else 2 * self.from_levels(x) - 1

    def encoded(
        self, name: str, x: Tensor, classes: Int64[Tensor, " n"] | None, *, shares: bool = True
    ) -> Float[Tensor, "n codes"]:
        """What the encoder gives, checked.

        Args:
            name: The public function, for messages.
            x, classes: Data and labels.
            shares: Whether shares may stand for levels.
        """
        if not is_traced():
            check_examples(f"{name}: x", x, self, shares=shares)
        condition = self.condition(name, x.shape[0], classes)
        shapes = [(x.shape[0], self.codes * self.latent)]
        codes: Tensor = output_of(
            f"{type(self).__name__}: encoder", self.encoder, shapes, self.inputs(x), *condition
        )
        return codes

    def decoded_parameters(
        self, name: str, z: Float[Tensor, "n latent"], classes: Int64[Tensor, " n"] | None
    ) -> Float[Tensor, "n parameters *shape"]:
        """What the decoder gives, checked; `name` is the public function."""
        condition, count = self.condition(name, z.shape[0], classes), self.output.parameters
        shapes = [(z.shape[0], count, *self.shape)]
        if count == 1:
            shapes.insert(0, (z.shape[0], *self.shape))
        made: Tensor = output_of(
            f"{type(self).__name__}: decoder", self.decoder, shapes, z.to(self.dtype), *condition
        )
        return made if made.ndim == 2 + len(self.shape) else made[:, None]

    def _network(self, which: str) -> Network:
        if which == "encoder":
            return encoder_of(self, self.codes * self.latent)
        return decoder_of(self, self.output.parameters)

    def _check_architecture(self) -> None:
        if self.architecture == "convolutional" and len(self.shape) != 3:
            raise ValueError(
                f"{type(self).__name__}: architecture 'convolutional' needs a shape of (channels, "
                f"rows, columns), got {self.shape}; 'mlp' takes any"
            )

    def _written(self, which: str) -> dict[str, Any] | None:
        """A module as JSON, None for the architecture's own."""
        module = getattr(self, which)
        kind, arguments = self._network(which)
        if type(module) is kind and module.config() == arguments:
            return None
        return module_config(f"{type(self).__name__}: {which}", module)


def checked_number(name: str, value: object, least: float = 0.0) -> float:
    """A finite number of at least `least`, or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} must be a number, got {value!r:.80}")
    if not (least <= value < math.inf):
        raise ValueError(f"{name} must be at least {least:g} and finite, got {value}")
    return float(value)
