"""The mixture of discretised logistics: a pixel of several channels in one draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from genfast.files.limits import MOST_CHANNELS, MOST_LEVELS, MOST_MIXTURES, checked_size
from genfast.heads import judging
from genfast.heads.bins import log_bin
from genfast.heads.categorical import Categorical
from genfast.heads.options import DrawOptions

__all__ = ["LogisticMixture"]

#: Log-scales are clamped to this: the paper's floor, and a ceiling for float32's sake.
LOG_SCALES = (-7.0, 20.0)
#: What stands for a uniform of 0, half of the generator's step of 2**-24, in the inverse CDF.
LEAST_UNIFORM = 2.0**-25
#: A draw is nowhere farther from its location than this, so that nothing infinite is added up.
FARTHEST = 1e30

_KEYS = {"class", "levels", "mixtures", "channels"}


class Parts(NamedTuple):
    """Parameters of sites by what they are; the last dimension is the component.

    Args:
        logits: (*sites, K).
        means: (*sites, C, K).
        log_scales: (*sites, C, K), clamped.
        couplings: (*sites, C(C-1)/2, K), in (-1, 1).
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor
    couplings: Tensor

    def of_component(self, component: Int64[Tensor, "*sites"]) -> Parts:
        """The parts of one component a site; the last dimension has size 1."""
        chosen = component[..., None, None]
        means, log_scales, couplings = (
            part.gather(-1, chosen.expand(*part.shape[:-1], 1)) for part in self[1:]
        )
        return Parts(self.logits.gather(-1, component[..., None]), means, log_scales, couplings)


class LogisticMixture:
    """A pixel of C channels as a mixture of K discretised logistics (PixelCNN++).

    Salimans et al. 2017, sections 2.1 and 2.2. A level x of a channel stands for the real number
    `r(x) = 2x / (levels - 1) - 1` and owns the bin of half a step around it; the bin of the lowest
    level reaches to -inf, that of the highest to +inf. In component k, channel c is logistic with
    scale `exp(s_ck)` around

        m_ck + sum over channels j < c of tanh(a_cjk) r(x_j)

    where `x_j` are the levels drawn before, quantised: `log_prob` is of what is drawn. Log-scales
    are clamped to [-7, 20], the floor as in the paper.

    The parameters of a pixel, P = K (1 + 2C + C(C-1)/2), in order, k running fastest::

        [K]             logits of the components
        [C][K]          means m                     channel 0 first
        [C][K]          log-scales s                channel 0 first
        [C(C-1)/2][K]   couplings a before tanh     (c, j) = (1, 0), (2, 0), (2, 1), ...

    A draw takes 1 + C uniforms: the first chooses the component by the rule of `Categorical`, the
    others invert the logistic distribution of a channel each: with `v = 1 - u`, clamped off 1 by
    taking u for at least 2**-25,

        y = mean + temperature * scale * (log(v) - log1p(-v))
        x = floor((y + 1) (levels - 1) / 2 + 1/2), clipped to [0, levels)

    so a level is drawn exactly where y lies in its bin. The temperature divides the logits of the
    components and multiplies the scales. At 0 the component of the highest logit is taken, the
    lowest of equals, and of each channel the level nearest to the mean. Top-k and top-p, which are
    about classes, are refused.

    Args:
        levels: Levels of a channel, 2 to 65,536.
        mixtures: K, components, 1 to 1,024.
        channels: C, channels of a pixel, 1 to 16.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, levels: int = 256, mixtures: int = 10, channels: int = 3) -> None:
        self.levels = checked_size("LogisticMixture: levels", levels, MOST_LEVELS)
        self.mixtures = checked_size("LogisticMixture: mixtures", mixtures, MOST_MIXTURES)
        self.channels = checked_size("LogisticMixture: channels", channels, MOST_CHANNELS)
        if self.levels < 2:
            raise ValueError(f"LogisticMixture: levels must be at least 2, got {levels}")

    def __repr__(self) -> str:
        return f"LogisticMixture({self.levels}, {self.mixtures}, {self.channels})"

    def config(self) -> dict[str, Any]:
        """This head as JSON; `head_from_config` makes it again."""
        sizes = {name: getattr(self, name) for name in ("levels", "mixtures", "channels")}
        return {"class": "LogisticMixture", **sizes}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LogisticMixture:
        """The head that `config()` wrote down, or ValueError."""
        if set(config) != _KEYS:
            keys, wanted = (", ".join(sorted(names)) for names in (config, _KEYS))
            raise ValueError(f"LogisticMixture: config must have the keys {wanted}, got {keys:.80}")
        return cls(config["levels"], config["mixtures"], config["channels"])

    @property
    def parameters(self) -> int:
        """Parameters a pixel: the width of a model's readout."""
        return self.mixtures * (1 + 2 * self.channels + self._couplings)

    @property
    def draws(self) -> int:
        """Uniforms that one pixel owns."""
        return 1 + self.channels

    @property
    def _couplings(self) -> int:
        return self.channels * (self.channels - 1) // 2

    def log_prob(
        self,
        parameters: Float[Tensor, "*sites parameters"],
        values: Int64[Tensor, "*sites channels"],
    ) -> Float[Tensor, "*sites"]:
        """log p(pixel) in nats, differentiable, at least in float32.

        Args:
            parameters: Of every pixel, in the order above.
            values: Levels of its channels, in [0, levels).
        """
        if parameters.dtype != torch.float64:
            parameters = parameters.float()
        parts = self.parts(parameters)
        bins = self._log_bins(parts, values).sum(-2)
        return (parts.logits.log_softmax(-1) + bins).logsumexp(-1)

    def draw(
        self,
        parameters: Float[Tensor, "n parameters"],
        uniforms: Float[Tensor, "n draws"],
        options: DrawOptions,
        site: int = 0,
    ) -> Int64[Tensor, "n channels"]:
        """The reference draw: one pixel a row, on the CPU, in the arithmetic of `parameters`.

        Args:
            parameters: Float32 (float64 for checks).
            uniforms: Random numbers in [0, 1).
            options: Temperature of each row; top-k and top-p must be off.
            site: Only named in errors.

        Raises:
            ValueError: Top-k or top-p is on.
            FloatingPointError: A parameter is NaN or infinite, naming row and site.
        """
        parameters = parameters.cpu()
        _check_options(options)
        _check_parameters(parameters, site)
        parts, uniforms = self.parts(parameters), uniforms.to(parameters.dtype)
        components = Categorical(self.mixtures)
        component = components.draw(parts.logits, uniforms[:, :1], options, site)
        chosen = parts.of_component(component)
        values = torch.zeros(len(parameters), self.channels, dtype=torch.int64)
        for channel, u in enumerate(uniforms[:, 1:].unbind(1)):
            location = self.locations(chosen, values)[:, channel, 0]
            spread = self.spreads(chosen)[:, channel, 0]
            deviation = spread * _logistic(u) * options.temperature.to(u.dtype)
            y = location + deviation.clamp(-FARTHEST, FARTHEST)
            values[:, channel] = (y + 0.5).floor().clamp(0, self.levels - 1).long()
        return values

    def judge(
        self,
        exact: Float[Tensor, "m parameters"],
        close: Float[Tensor, "m parameters"],
        values: Int64[Tensor, "m channels"],
        uniforms: Float[Tensor, "m draws"],
        options: DrawOptions,
    ) -> tuple[Bool[Tensor, " m"], Float[Tensor, " m"]]:
        """Replay: whether each pixel is what its uniforms ask for, and the tolerance `eps` of it.

        See `genfast.heads.judging.judge`.

        Args:
            exact: float64 reference parameters.
            close: The same parameters in float32; how far they are off widens eps.
            values: What was drawn.
            uniforms: float32, the random numbers of every pixel.
            options: Temperature of each pixel; top-k and top-p must be off.
        """
        _check_options(options)
        return judging.judge(self, exact, close, values, uniforms, options.temperature)

    def parts(self, parameters: Float[Tensor, "*sites parameters"]) -> Parts:
        """The parameters by what they are; log-scales clamped, couplings behind tanh."""
        count, channels = self.mixtures, self.channels
        if parameters.shape[-1] != self.parameters:
            raise ValueError(
                f"LogisticMixture: parameters must be {self.parameters} a pixel, "
                f"got {tuple(parameters.shape)}"
            )
        grouped = parameters.reshape(*parameters.shape[:-1], -1, count)
        sizes = [1, channels, channels, self._couplings]
        logits, means, log_scales, couplings = torch.split(grouped, sizes, -2)
        return Parts(logits[..., 0, :], means, log_scales.clamp(*LOG_SCALES), couplings.tanh())

    def locations(
        self, parts: Parts, values: Int64[Tensor, "*sites channels"]
    ) -> Float[Tensor, "*sites channels k"]:
        """Centre of every channel's logistic given the channels before it, counted in levels.

        In levels the edges of bins are exact, x - 1/2 and x + 1/2, and what is near a centre loses
        nothing by its subtraction.
        """
        reals = values.to(parts.means.dtype) * (2 / (self.levels - 1)) - 1
        centres = []
        for channel, mean in enumerate(parts.means.unbind(-2)):
            first = channel * (channel - 1) // 2
            couplings = parts.couplings[..., first : first + channel, :]
            centre = mean + (couplings * reals[..., :channel, None]).sum(-2)
            centres.append((centre + 1) * ((self.levels - 1) / 2))
        return torch.stack(centres, -2)

    def spreads(self, parts: Parts) -> Float[Tensor, "*sites channels k"]:
        """Scale of every channel's logistic, counted in levels."""
        return parts.log_scales.exp() * ((self.levels - 1) / 2)

    def _log_bins(
        self, parts: Parts, values: Int64[Tensor, "*sites channels"]
    ) -> Float[Tensor, "*sites channels k"]:
        """log p(level) of every channel in every component."""
        x = values[..., None].to(parts.means.dtype)
        return log_bin(x, self.locations(parts, values), parts.log_scales, self.levels)


def _logistic(u: Tensor) -> Tensor:
    """log(v) - log1p(-v), v = 1 - u: the standard logistic that u draws."""
    return torch.log(1 - u) - torch.log(u.clamp(min=LEAST_UNIFORM))


def _check_options(options: DrawOptions) -> None:
    if (options.top_k > 0).any() or (options.top_p < 1).any():
        raise ValueError(
            "LogisticMixture: top_k and top_p must be off, they keep classes and a mixture of "
            "logistics has none; got "
            f"top_k up to {int(options.top_k.max())}, top_p down to {float(options.top_p.min()):g}"
        )


def _check_parameters(parameters: Tensor, site: int) -> None:
    """Raises FloatingPointError for the first row with a parameter that is not finite."""
    wrong = ~parameters.isfinite().all(-1)
    if wrong.any():
        row = int(wrong.int().argmax())
        what = "NaN" if parameters[row].isnan().any() else "infinite"
        raise FloatingPointError(f"draw: scores of row {row} at site {site} are {what}")
