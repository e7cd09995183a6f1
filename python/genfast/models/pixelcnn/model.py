"""PixelCNN: a convolutional network over images, drawn pixel by pixel, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from genfast import likelihood, rasters
from genfast.conditions import check_conditions
from genfast.heads import Categorical
from genfast.models.pixelcnn import config as arguments
from genfast.models.pixelcnn.networks import NETWORKS
from genfast.models.pixelcnn.program import pixelcnn_program
from genfast.models.registry import register, save_registered
from genfast.pixels import check_images
from genfast.program import Program

__all__ = ["PixelCNN"]


@register
class PixelCNN(nn.Module):
    """p(x) = prod p(x_i | those above and left of it), pixels in raster order::

        x x x x x      x  seen by the pixel @; red is drawn before green, green before blue,
        x x @ . .         and each sees what was drawn before it at its own pixel
        . . . . .

    `network` gives the parameters of the head for all pixels at once, so training is one forward
    pass. Its convolutions are modules of torch, or subclasses with torch's layout of weights.

    "masked" is the original one: van den Oord et al. 2016a, Pixel Recurrent Neural Networks. Masks
    alone leave a blind spot, pixels above and right of @ that it never sees. "gated" has none: van
    den Oord et al. 2016b, Conditional Image Generation with PixelCNN Decoders.

    Args:
        shape: (C, H, W) of an image; C to 16, sides to 16,384.
        levels: Values of a channel, 2 to 65,536.
        width: Features of a layer, 1 to 65,536; fewer than channels leave the last of these without
            features of their own.
        depth: Residual blocks of "masked", layers of "gated"; 1 to 1,024.
        variant: "masked" or "gated".
        head: Distribution of a pixel: `heads.Categorical(levels)`, each channel by itself, when
            None; or `heads.LogisticMixture`, all channels of a pixel at once.
        input: How levels enter: "real", as `2x / (levels - 1) - 1`; or "embedding", each by a row
            of `embed`, for images of indices.
        embedding_width: Width of `embed`; `width` when None.
        classes: Number of labels an image may have, None for none.
        vector: Width of a vector that an image is drawn under, None for none.
        features: Channels of a map of features, as large as the image; None for none.

    Attributes:
        figures: What was measured of the model, by name; saved with it.

    Raises:
        ValueError: An argument is out of range.
    """

    symbols = None

    def __init__(
        self,
        shape: Sequence[int],
        levels: int = 256,
        *,
        width: int = 64,
        depth: int = 15,
        variant: Literal["masked", "gated"] = "gated",
        head: Any = None,
        input: Literal["real", "embedding"] = "real",
        embedding_width: int | None = None,
        classes: int | None = None,
        vector: int | None = None,
        features: int | None = None,
    ) -> None:
        super().__init__()
        self.shape = arguments.checked_shape(shape)
        self.levels, self.width, self.depth = arguments.checked_sizes(
            levels=levels, width=width, depth=depth
        )
        arguments.check_choices(self.levels, variant, input, embedding_width)
        if input == "embedding" and embedding_width is None:
            embedding_width = self.width
        self.embedding_width, self.classes, self.vector, self.features = arguments.checked_sizes(
            embedding_width=embedding_width, classes=classes, vector=vector, features=features
        )
        self.variant, self.input = variant, input
        self.head = arguments.checked_head(head, self.levels, self.shape[0])
        self.figures: dict[str, Any] = {}
        self.embed = None
        if self.embedding_width is not None:
            self.embed = nn.Embedding(self.levels, self.embedding_width)
        entering, channels = self.embedding_width or 1, self.shape[0]
        # Channels drawn one by one are groups; a head of whole pixels hides the whole pixel.
        in_groups = (entering,) * channels if self.parts == channels else (entering * channels,)
        self.network = NETWORKS[variant](
            in_groups,
            self.parts,
            self.head.parameters,
            self.width,
            self.depth,
            classes=self.classes,
            vector=self.vector,
            features=self.features,
        )

    def extra_repr(self) -> str:
        return f"shape={self.shape}, levels={self.levels}, head={self.head}, input={self.input!r}"

    @property
    def parts(self) -> int:
        """D: draws of the head at a pixel, its channels or 1."""
        return self.shape[0] if isinstance(self.head, Categorical) else 1

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor as JSON; `from_config` makes the model again, with new
        weights."""
        return arguments.config_of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PixelCNN:
        """A model of the arguments that `config()` wrote down.

        Raises:
            ValueError: A key is missing or unknown, or an argument is out of range.
        """
        return cls(**arguments.arguments_of(config))

    @property
    def draw_example(self) -> str:
        """Lines of Python for the model card, which draw from `model` and show it."""
        made = {
            "classes": f"torch.arange(4) % {self.classes}",
            "vector": f"torch.randn(4, {self.vector})",
            "features": f"torch.randn(4, {self.features}, {self.shape[1]}, {self.shape[2]})",
        }
        given = [f", {name}={text}" for name, text in made.items() if getattr(self, name)]
        lines = ["import torch", ""] if given else []
        return "\n".join([*lines, f"x = model.sample(4, seed=0{''.join(given)})", "print(x)"])

    def save(self, path: str | Path, figures: Mapping[str, Any] | None = None) -> None:
        """Writes a folder that `genfast.load` reads; see `genfast.files.save`.

        Args:
            path: The folder; made where it is missing, replaced where it holds a model.
            figures: What was measured of the model, JSON; `self.figures` when None.

        Raises:
            ValueError: The class is not registered, a weight is not finite, or the modules are not
                what `config()` says; nothing has been written.
            OSError: The folder cannot be written; a model that was there is there still.
        """
        save_registered(self, path, figures)

    def encode(self, x: Int64[Tensor, "n c h w"]) -> Float[Tensor, "n in h w"]:
        """What `network` sees of levels: (N, C, H, W) numbers, or (N, C * E, H, W) embedded."""
        if self.embed is not None:
            embedded: Tensor = self.embed(x)
            return embedded.permute(0, 1, 4, 2, 3).flatten(1, 2)
        dtype = self.network.readout.weight.dtype
        # Half precision would round the levels before the network does.
        exact = x.to(torch.promote_types(dtype, torch.float32))
        real: Tensor = (exact * (2 / (self.levels - 1)) - 1).to(dtype)
        return real

    def forward(
        self,
        x: Int64[Tensor, "n c h w"],
        classes: Int64[Tensor, " n"] | None = None,
        vector: Float[Tensor, "n v"] | None = None,
        features: Float[Tensor, "n f h w"] | None = None,
    ) -> Float[Tensor, "n h w parts parameters"]:
        """Parameters of the head for every pixel.

        Args:
            x: int64 (N, C, H, W), levels in [0, levels).
            classes: int64 (N,), labels in [0, classes).
            vector: float (N, V).
            features: float (N, F, H, W).

        Returns:
            (N, H, W, D, P) in the dtype of the weights; D is C for a categorical head, whose part d
            sees channels below d of its own pixel, else 1.

        Raises:
            ValueError: A condition is missing, or the model was made without it.
        """
        scores: Tensor = self.network(
            self.encode(x), classes=classes, vector=vector, features=features
        )
        return scores

    def log_prob(
        self,
        x: Int64[Tensor, "n c h w"],
        classes: Int64[Tensor, " n"] | None = None,
        vector: Float[Tensor, "n v"] | None = None,
        features: Float[Tensor, "n f h w"] | None = None,
    ) -> Float[Tensor, " n"]:
        """log p(x) in nats, differentiable.

        Args:
            x: int64 (N, C, H, W), levels in [0, levels).
            classes, vector, features: As of `forward`; each is needed where the model has it.

        Raises:
            ValueError: Wrong dtype, shape or device, a level or label out of range.
        """
        check_images("log_prob: x", x, self)
        given = check_conditions("log_prob", self, len(x), classes, vector, features).arguments
        scores, values = self(x, **given), x.permute(0, 2, 3, 1)
        if isinstance(self.head, Categorical):
            return self.head.log_prob(scores, values).flatten(1).sum(-1)
        nats: Tensor = self.head.log_prob(scores.squeeze(3), values)
        return nats.flatten(1).sum(-1)

    def bits_per_dim(self, x: Int64[Tensor, "n c h w"], **conditions: Any) -> float:
        """Bits a channel of a pixel; see `genfast.bits_per_dim`."""
        return likelihood.bits_per_dim(self, x, **conditions)

    def training_step(self, batch: Any, step: int) -> dict[str, Any]:
        """The loss of a batch: mean nats a channel of a pixel.

        Args:
            batch: int64 (N, C, H, W) images; or a tuple of them and int64 (N,) labels; or a dict
                with the keys x, classes, vector, features, as the model needs them.
            step: Number of the step; not used.

        Returns:
            `loss`, a scalar, 0 without an image; `sites`, how many channels of pixels it is the
            mean of.
        """
        given = _given(batch)
        x = given.pop("x")
        loss = -self.log_prob(x, **given).sum() / max(x.numel(), 1)
        return {"loss": loss, "sites": x.numel()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters for an optimiser: matrices decay, embeddings and biases do not."""
        tables = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        decays = [p for p in self.parameters() if p.ndim > 1 and id(p) not in tables]
        chosen = {id(p) for p in decays}
        rest = [p for p in self.parameters() if id(p) not in chosen]
        return [{"params": decays}, {"params": rest, "weight_decay": 0.0}]

    def program(self) -> Program:
        """This model written down as instructions over float32 copies of its weights.

        Raises:
            NotCompilableError: A part was replaced by something that instructions do not say.
            FloatingPointError: A weight is not finite, named.
        """
        with torch.device("meta"):
            made = PixelCNN.from_config(arguments.config_of(self))
        return pixelcnn_program(self, made)

    def sample(
        self,
        n: int,
        *,
        seed: int | Tensor | None = None,
        index: int | Tensor = 0,
        classes: Tensor | None = None,
        vector: Tensor | None = None,
        features: Tensor | None = None,
        given: tuple[Tensor, Tensor] | None = None,
        temperature: float | Tensor = 1.0,
        top_k: int | Tensor | None = None,
        top_p: float | Tensor | None = None,
        backend: str = "auto",
    ) -> Int64[Tensor, "n c h w"]:
        """Draws `n` images; see `genfast.rasters.sample`."""
        request = rasters.RasterRequest(
            seed=seed,
            index=index,
            classes=classes,
            vector=vector,
            features=features,
            given=given,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            backend=backend,
        )
        images: Tensor = rasters.sample(self, n, request)
        return images


def _given(batch: Any) -> dict[str, Any]:
    """A batch by the names of `log_prob`."""
    if isinstance(batch, Mapping):
        return dict(batch)
    if isinstance(batch, Tensor):
        return {"x": batch}
    return dict(zip(("x", "classes"), batch, strict=False))
