"""The mixture of discretised logistics: density and draw against loops over Python numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from genfast.heads import Categorical, DrawOptions, LogisticMixture, head_from_config
from genfast.models import SequenceModel

LARGEST = 1 - 2.0**-24
SIZES = [(2, 1, 1), (256, 10, 1), (17, 5, 1), (4, 3, 2), (5, 2, 3), (3, 1, 4)]
#: What is added to means and to log-scales.
PLACES = {
    "usual": (0.0, -2.0),
    "floor": (0.0, -30.0),
    "wide": (0.0, 4.0),
    "ceiling": (0.0, 50.0),
    "left": (-40.0, -1.0),
    "far right": (3e4, 0.0),
    "beyond, narrow": (2.0, -7.0),
}


def options(n: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> DrawOptions:
    return DrawOptions(
        torch.full((n,), temperature), torch.full((n,), top_k), torch.full((n,), top_p)
    )


def random_parameters(head: LogisticMixture, n: int, seed: int, place: str = "usual") -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    parameters = torch.randn(n, head.parameters, generator=generator)
    k, c = head.mixtures, head.channels
    mean, log_scale = PLACES[place]
    parameters[:, k : k + k * c] += mean
    parameters[:, k + k * c : k + 2 * k * c] += log_scale
    return parameters


def lattice(n: int, head: LogisticMixture, seed: int, *, ends: bool = True) -> Tensor:
    """Uniforms of the generator's kind, with many at both ends unless told otherwise."""
    generator = torch.Generator().manual_seed(seed)
    uniforms = (torch.rand(n, head.draws, generator=generator) * 2**24).floor() * 2.0**-24
    if ends:
        uniforms[::7, 1:], uniforms[1::7, 1:] = 0.0, LARGEST
    return uniforms


class Component:
    """One component of one pixel, in Python's numbers, from the documented order of parameters."""

    def __init__(self, head: LogisticMixture, parameters: list[float], k: int) -> None:
        K, C = head.mixtures, head.channels
        self.levels, self.channels = head.levels, C
        self.logit = parameters[k]
        self.means = [parameters[K + c * K + k] for c in range(C)]
        scales = [parameters[K + C * K + c * K + k] for c in range(C)]
        self.scales = [math.exp(min(max(s, -7.0), 20.0)) for s in scales]
        pairs = [(c, j) for c in range(C) for j in range(c)]
        self.couplings = {
            pair: math.tanh(parameters[K + 2 * C * K + number * K + k])
            for number, pair in enumerate(pairs)
        }

    def real(self, level: int) -> float:
        return 2 * level / (self.levels - 1) - 1

    def mean(self, c: int, before: list[int]) -> float:
        return self.means[c] + sum(
            self.couplings[c, j] * self.real(level) for j, level in enumerate(before)
        )

    def probability(self, pixel: list[int]) -> float:
        p = 1.0
        for c, level in enumerate(pixel):
            mean = self.mean(c, pixel[:c])
            ends = [self.real(level) + side / (self.levels - 1) for side in (-1, 1)]
            low, high = (_logistic((end - mean) / self.scales[c]) for end in ends)
            low = 0.0 if level == 0 else low
            p *= (1.0 if level == self.levels - 1 else high) - low
        return p

    def draw(self, uniforms: list[float], temperature: float) -> list[int]:
        pixel: list[int] = []
        for c, u in enumerate(uniforms):
            v = min(1 - u, 1 - 2.0**-25)
            y = self.mean(c, pixel)
            y += temperature * self.scales[c] * (math.log(v) - math.log1p(-v))
            level = math.floor((y + 1) * (self.levels - 1) / 2 + 0.5)
            pixel.append(min(max(level, 0), self.levels - 1))
        return pixel


def _logistic(x: float) -> float:
    return 0.5 * (1 + math.tanh(x / 2))


def components(head: LogisticMixture, parameters: Tensor) -> list[Component]:
    return [Component(head, parameters.tolist(), k) for k in range(head.mixtures)]


def all_pixels(head: LogisticMixture) -> Tensor:
    return torch.tensor(list(itertools.product(range(head.levels), repeat=head.channels)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_probabilities_of_all_pixels_sum_to_one(size: Any, place: str) -> None:
    head = LogisticMixture(*size)
    parameters, pixels = random_parameters(head, 17, 1, place), all_pixels(head)
    nats = head.log_prob(parameters[:, None].expand(-1, len(pixels), -1), pixels.expand(17, -1, -1))
    assert nats.dtype == torch.float32
    assert (nats.exp().double().sum(-1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("place", ["usual", "wide", "beyond, narrow"])
def test_log_prob_is_the_documented_density(size: Any, place: str) -> None:
    head = LogisticMixture(*size)
    parameters = random_parameters(head, 5, 2, place)
    pixels = torch.randint(head.levels, (5, head.channels))
    pixels[0], pixels[1] = 0, head.levels - 1
    expected = []
    for row, pixel in zip(parameters, pixels.tolist(), strict=True):
        each = components(head, row)
        weights = [math.exp(one.logit) for one in each]
        p = sum(w * one.probability(pixel) for w, one in zip(weights, each, strict=True))
        expected.append(p / sum(weights))
    exact = head.log_prob(parameters.double(), pixels)
    torch.testing.assert_close(
        exact.exp(), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-13
    )
    close = head.log_prob(parameters, pixels)
    torch.testing.assert_close(close.double(), exact, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("place", ["usual", "left", "beyond, narrow"])
def test_gradients(place: str) -> None:
    head = LogisticMixture(5, 2, 2)
    parameters = random_parameters(head, 3, 3, place).double().requires_grad_()
    pixels = torch.tensor([[0, 4], [4, 2], [1, 0]])
    assert torch.autograd.gradcheck(lambda p: head.log_prob(p, pixels), parameters)


@pytest.mark.parametrize("place", PLACES)
def test_gradients_stay_finite(place: str) -> None:
    head = LogisticMixture(256, 10, 3)
    parameters = random_parameters(head, 50, 4, place).requires_grad_()
    nats = head.log_prob(parameters, torch.randint(256, (50, 3)))
    (gradient,) = torch.autograd.grad(nats.sum(), parameters)
    assert nats.isfinite().all()
    assert gradient.isfinite().all()


def test_log_prob_of_any_shape_and_precision() -> None:
    head = LogisticMixture(16, 3, 2)
    parameters = random_parameters(head, 24, 5).view(2, 3, 4, -1).bfloat16()
    pixels = torch.randint(16, (2, 3, 4, 2))
    nats = head.log_prob(parameters, pixels)
    assert nats.shape == (2, 3, 4)
    assert nats.dtype == torch.float32
    one = head.log_prob(parameters[1, 2, 3].float(), pixels[1, 2, 3])
    torch.testing.assert_close(nats[1, 2, 3], one)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("temperature", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("place", ["usual", "wide", "beyond, narrow"])
def test_draw_is_the_contract(size: Any, temperature: float, place: str) -> None:
    head, n = LogisticMixture(*size), 50
    parameters, uniforms = random_parameters(head, n, 6, place).double(), lattice(n, head, 7)
    drawn = head.draw(parameters, uniforms, options(n, temperature))
    logits = parameters[:, : head.mixtures]
    chosen = Categorical(head.mixtures).draw(logits, uniforms[:, :1], options(n, temperature))
    expected = [
        components(head, row)[int(k)].draw(u.double().tolist()[1:], temperature)
        for row, k, u in zip(parameters, chosen, uniforms, strict=True)
    ]
    # The temperature is float32 in the draw and a Python number here.
    share = (drawn == torch.tensor(expected)).double().mean()
    assert share == 1 if temperature in (0.0, 1.0, 3.0) else share > 0.99


def test_cold_draw_takes_the_first_best_component_and_rounds_half_up() -> None:
    head = LogisticMixture(5, 3, 1)
    parameters = torch.tensor([[1.0, 2.0, 2.0, 0.9, 0.25, -0.9, 3.0, 3.0, 3.0]])
    # 0.25 is at 2.5 levels.
    for uniform in (0.0, 0.5, LARGEST):
        drawn = head.draw(parameters, torch.full((1, 2), uniform), options(1, 0.0))
        assert drawn.tolist() == [[3]]


def test_frequencies_are_the_density_s() -> None:
    head, n = LogisticMixture(4, 3, 2), 200_000
    parameters, pixels = random_parameters(head, 1, 8), all_pixels(head)
    uniforms = torch.rand(n, 3, generator=torch.Generator().manual_seed(9))
    drawn = head.draw(parameters.expand(n, -1), uniforms, options(n))
    counts = torch.bincount(drawn @ torch.tensor([4, 1]), minlength=16).double()
    p = head.log_prob(parameters.double().expand(16, -1), pixels).exp()
    assert _chi_square(counts, p) < 50
    assert _chi_square(counts, p * torch.tensor([1.02, 0.98] * 8)) > 50


def _chi_square(counts: Tensor, p: Tensor) -> float:
    expected = p / p.sum() * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("temperature", [0.0, 0.05, 1.0, 2.0])
@pytest.mark.parametrize("place", ["usual", "floor", "left"])
def test_judge_accepts_the_draw(size: Any, temperature: float, place: str) -> None:
    head, n = LogisticMixture(*size), 2000
    parameters, uniforms = random_parameters(head, n, 10, place), lattice(n, head, 11)
    exact = parameters.double()
    drawn = head.draw(parameters, uniforms, options(n, temperature))
    right, eps = head.judge(exact, parameters, drawn, uniforms, options(n, temperature))
    assert right.all()
    assert (eps > 1e-3).double().mean() <= 1e-3


def judged(head: LogisticMixture, drawn: Tensor, uniforms: Tensor, parameters: Tensor) -> float:
    """Share of pixels found wrong."""
    given = options(len(drawn))
    right, eps = head.judge(parameters.double(), parameters, drawn, uniforms, given)
    assert (eps < 1e-3).all()
    return float((~right).double().mean())


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_judge_finds_a_level_beside_the_right_one(channel: int) -> None:
    head, n = LogisticMixture(64, 4, 3), 500
    parameters, uniforms = random_parameters(head, n, 12), lattice(n, head, 13, ends=False)
    drawn = head.draw(parameters, uniforms, options(n))
    inner = (drawn > 0).all(-1) & (drawn < 63).all(-1)
    drawn[:, channel] += 1
    assert judged(head, drawn[inner], uniforms[inner], parameters[inner]) > 0.99


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        (lambda p, u: (p, 1 - 2.0**-24 - u), 0.9),
        (lambda p, u: (p, u.roll(1, 1)), 0.9),
        (lambda p, u: (p * 1.001, u), 0.005),
        (lambda p, u: (p.roll(1, 1), u), 0.5),
        (lambda p, u: (torch.cat([p[:, :-12], p[:, -12:].flip(1)], 1), u), 0.5),
    ],
    ids=["mirrored", "other uniforms", "one per mille", "shifted", "couplings"],
)
def test_judge_finds_another_draw(fault: Any, least: float) -> None:
    head, n = LogisticMixture(256, 4, 3), 1000
    parameters, uniforms = random_parameters(head, n, 14), lattice(n, head, 15, ends=False)
    drawn = head.draw(*fault(parameters, uniforms), options(n))
    assert judged(head, drawn, uniforms, parameters) > least


def test_judge_tells_levels_of_16_bits_apart_at_temperature_0() -> None:
    head = LogisticMixture(65536, 3, 2)
    parameters = random_parameters(head, 200, seed=9)
    uniforms = lattice(200, head, seed=10)
    drawn = head.draw(parameters, uniforms, options(200, 0.0))
    inner = ((drawn > 0) & (drawn < 65535)).all(1)
    assert inner.sum() > 50
    for shift, fits in ((0, True), (1, False), (-1, False)):
        values = drawn + shift * torch.tensor([0, 1])
        given = parameters.double(), parameters, values.where(inner[:, None], drawn)
        right, eps = head.judge(*given, uniforms, options(200, 0.0))
        assert (eps < 1e-3).all()
        assert (right[inner] == fits).float().mean() > 0.8
        assert right[~inner].all()


def test_judge_says_where_float32_cannot_tell() -> None:
    """Logits so large that a rounding of theirs is a probability."""
    head = LogisticMixture(16, 2, 1)
    parameters = random_parameters(head, 100, 16)
    parameters[:, :2] *= 1e6
    exact = parameters.double() * (1 + 1e-7)
    exact[:, :2] = exact[:, :2].mean(-1, keepdim=True) + torch.tensor([0.0, 0.3])
    drawn = head.draw(parameters, lattice(100, head, 17), options(100))
    _, eps = head.judge(exact, parameters, drawn, lattice(100, head, 17), options(100))
    assert (eps > 1e-3).all()


@pytest.mark.parametrize(("bad", "what"), [(math.nan, "NaN"), (math.inf, "infinite")])
@pytest.mark.parametrize("place", [0, 2, 9, 17])
def test_draw_names_row_and_site_of_a_bad_parameter(bad: float, what: str, place: int) -> None:
    head = LogisticMixture(4, 3, 2)
    parameters = torch.zeros(5, head.parameters)
    parameters[3, place] = -bad
    with pytest.raises(FloatingPointError, match=f"scores of row 3 at site 7 are {what}"):
        head.draw(parameters, torch.zeros(5, 3), options(5), site=7)


@pytest.mark.parametrize(
    ("kept", "got"), [({"top_k": 3}, "top_k up to 3"), ({"top_p": 0.5}, "top_p down to 0.5")]
)
def test_top_k_and_top_p_are_refused(kept: Any, got: str) -> None:
    head = LogisticMixture(4, 1, 1)
    parameters, uniforms, given = torch.zeros(2, 3), torch.zeros(2, 2), options(2, **kept)
    with pytest.raises(ValueError, match=f"LogisticMixture: top_k and top_p must be off.*{got}"):
        head.draw(parameters, uniforms, given)
    values = torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match="LogisticMixture: top_k and top_p must be off"):
        head.judge(parameters.double(), parameters, values, uniforms, given)


def test_sizes() -> None:
    head = LogisticMixture()
    assert (head.parameters, head.draws) == (100, 4)
    assert repr(head) == "LogisticMixture(256, 10, 3)"
    with pytest.raises(ValueError, match=r"parameters must be 100 a pixel, got \(2, 99\)"):
        head.log_prob(torch.zeros(2, 99), torch.zeros(2, 3, dtype=torch.int64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 10, 3), "levels must be at least 2, got 1"),
        ((70_000, 10, 3), "levels must be at most 65536"),
        ((256, 0, 3), "mixtures must be at least 1"),
        ((256, 10_000, 3), "mixtures must be at most 1024"),
        ((256, 10, 17), "channels must be at most 16"),
        ((256, 10, 2.5), "channels must be an integer"),
    ],
)
def test_bad_sizes(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"LogisticMixture: {message}"):
        LogisticMixture(*arguments)


def test_config_round_trip() -> None:
    config = LogisticMixture(17, 5, 2).config()
    assert config == {"class": "LogisticMixture", "levels": 17, "mixtures": 5, "channels": 2}
    again = head_from_config(config)
    assert isinstance(again, LogisticMixture)
    assert again.config() == config


@pytest.mark.parametrize("change", [{"levels": 1}, {"channels": "3"}, {"extra": 1}])
def test_bad_configs(change: Any) -> None:
    with pytest.raises(ValueError, match="LogisticMixture: "):
        head_from_config(LogisticMixture().config() | change)


def test_a_sequence_model_refuses_pixels() -> None:
    with pytest.raises(
        ValueError, match="SequenceModel: head must draw one of several classes, got L"
    ):
        SequenceModel(LogisticMixture(4, 1, 1))  # type: ignore[arg-type]
