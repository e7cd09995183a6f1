"""The categorical head: one of several symbols, and the rule by which one is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from genfast.files.limits import MOST_CLASSES, checked_size
from genfast.heads.options import DrawOptions

__all__ = ["Categorical", "keep", "running_sum", "tempered"]


class Categorical:
    """One of `classes` symbols; parameter c of a site is the score (unnormalised log) of class c.

    A score of -inf excludes its class.

    Args:
        classes: Number of symbols, 1 to 2**24.

    Raises:
        ValueError: `classes` is out of range.
    """

    #: Uniforms that one site owns.
    draws = 1

    def __init__(self, classes: int) -> None:
        self.classes = checked_size("Categorical: classes", classes, MOST_CLASSES)

    def __repr__(self) -> str:
        return f"Categorical({self.classes})"

    def config(self) -> dict[str, Any]:
        """This head as JSON; `head_from_config` makes it again."""
        return {"class": "Categorical", "classes": self.classes}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Categorical:
        """The head that `config()` wrote down, or ValueError."""
        if set(config) != {"class", "classes"}:
            keys = ", ".join(sorted(config))
            raise ValueError(
                f"Categorical: config must have the keys class, classes, got {keys:.80}"
            )
        return cls(config["classes"])

    @property
    def parameters(self) -> int:
        """Parameters a site: the width of a model's readout."""
        return self.classes

    def log_prob(
        self, parameters: Float[Tensor, "*sites classes"], values: Int64[Tensor, "*sites"]
    ) -> Float[Tensor, "*sites"]:
        """log p(value) in nats, differentiable, at least in float32.

        Args:
            parameters: Scores of every site.
            values: The symbols, in [0, classes).
        """
        if parameters.dtype != torch.float64:
            parameters = parameters.float()
        chosen = parameters.gather(-1, values.unsqueeze(-1)).squeeze(-1)
        return chosen - parameters.logsumexp(-1)

    def draw(
        self,
        parameters: Float[Tensor, "n classes"],
        uniforms: Float[Tensor, "n 1"],
        options: DrawOptions,
        site: int = 0,
    ) -> Int64[Tensor, " n"]:
        """The reference draw: one symbol a row, on the CPU, in the arithmetic of `parameters`.

        The symbol is the lowest kept class whose running sum of weights exceeds
        `uniform * total`; at temperature 0 the class of the highest score.

        Args:
            parameters: Scores, float32 (float64 for checks).
            uniforms: Random numbers in [0, 1).
            options: Temperature, top-k and top-p of each row.
            site: Only named in errors.

        Raises:
            FloatingPointError: A score is NaN or +inf, or no class is left, naming row and site.
        """
        scores = tempered(parameters.cpu(), options.temperature)
        _check_scores(scores, site)
        weights = torch.exp(scores - scores.amax(-1, keepdim=True))
        kept = keep(scores, weights, options.top_k, options.top_p)
        running = running_sum(weights * kept)
        over = running > uniforms.to(running.dtype) * running[:, -1:]
        # Rounding may leave none over; the last class that raised the sum is the highest of weight.
        highest = (running == running[:, -1:]).int().argmax(-1)
        drawn = torch.where(over.any(-1), over.int().argmax(-1), highest)
        return torch.where(options.temperature == 0, _first_best(scores), drawn)


def tempered(
    scores: Float[Tensor, "n classes"], temperature: Float[Tensor, " n"]
) -> Float[Tensor, "n classes"]:
    """Scores divided by the temperature, a division for each; as they are at temperature 0."""
    divisor = torch.where(temperature == 0, 1.0, temperature).to(scores.dtype)
    return scores / divisor[:, None]


def keep(
    scores: Float[Tensor, "n classes"],
    weights: Float[Tensor, "n classes"],
    top_k: Int64[Tensor, " n"],
    top_p: Float[Tensor, " n"],
) -> Bool[Tensor, "n classes"]:
    """The classes that top-k and then top-p leave.

    In descending order, equal scores by lower index first, top-k keeps the first k, and top-p of
    those the shortest prefix: a class stays while the mass before it is below p of the whole.
    """
    if not ((top_k > 0) | (top_p < 1)).any():
        return torch.ones_like(scores, dtype=torch.bool)
    order = scores.argsort(dim=-1, descending=True, stable=True)
    rank = torch.arange(scores.shape[-1]).expand_as(order)
    stays = (top_k[:, None] == 0) | (rank < top_k[:, None])
    mass = running_sum(weights.gather(-1, order) * stays)
    before = torch.cat([torch.zeros_like(mass[:, :1]), mass[:, :-1]], -1)
    nucleus = before < top_p.to(mass.dtype)[:, None] * mass[:, -1:]
    stays = stays & (nucleus | (top_p[:, None] >= 1) | (rank == 0))
    return torch.zeros_like(stays).scatter(-1, order, stays)


def running_sum(x: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    """Sums from the left, each rounded to the dtype of x; torch.cumsum keeps float32 in float64."""
    return torch.from_numpy(np.add.accumulate(x.numpy(), axis=-1))


def _first_best(scores: Tensor) -> Int64[Tensor, " n"]:
    """The lowest index of the highest score; torch.argmax promises no order among equals."""
    return (scores == scores.amax(-1, keepdim=True)).int().argmax(-1)


def _check_scores(scores: Tensor, site: int) -> None:
    """Raises FloatingPointError for the first row that nothing can be drawn from."""
    best = scores.amax(-1)  # NaN wherever a score is
    wrong = best.isnan() | best.isinf()
    if wrong.any():
        row = int(wrong.int().argmax())
        others = "+inf" if best[row] > 0 else "all -inf, nothing is left to draw"
        what = "NaN" if best[row].isnan() else others
        raise FloatingPointError(f"draw: scores of row {row} at site {site} are {what}")
