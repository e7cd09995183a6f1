"""Perceptron, ConvolutionalEncoder, ConvolutionalDecoder: shapes of all sizes, what they see."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from genfast.nn import ConvolutionalDecoder, ConvolutionalEncoder, Perceptron

pytestmark = pytest.mark.usefixtures("one_thread")

SIDES = [(1, 1), (1, 9), (2, 3), (4, 4), (5, 5), (8, 8), (7, 12), (17, 33), (28, 28)]


@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("condition", [None, 3])
@pytest.mark.parametrize("depth", [1, 2])
def test_images_of_any_sides(sides: tuple[int, int], condition: int | None, depth: int) -> None:
    options: dict[str, Any] = {"width": 3, "depth": depth, "condition": condition}
    told = [] if condition is None else [torch.eye(3)[:2]]
    encoder = ConvolutionalEncoder((2, *sides), 5, **options)
    assert encoder(torch.randn(2, 2, *sides), *told).shape == (2, 5)
    for numbers in (1, 3):
        decoder = ConvolutionalDecoder(4, (2, *sides), parameters=numbers, **options)
        made = decoder(torch.randn(2, 4), *told)
        assert made.shape == ((2, 2, *sides) if numbers == 1 else (2, 3, 2, *sides))


def test_every_pixel_is_seen_and_made() -> None:
    torch.manual_seed(0)
    encoder = ConvolutionalEncoder((1, 7, 9), 4, width=4)
    x = torch.randn(1, 1, 7, 9, requires_grad=True)
    encoder(x).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()
    decoder = ConvolutionalDecoder(3, (1, 7, 9), width=4)
    z = torch.randn(1, 3)
    assert ((decoder(z) - decoder(-z)).abs() > 1e-6).all()


def test_features_double_with_every_halving_up_to_four_times() -> None:
    encoder = ConvolutionalEncoder((1, 64, 64), 2, width=3)
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [3, 6, 12, 12, 12]
    assert encoder.readout.in_features == 12 * 4 * 4
    decoder = ConvolutionalDecoder(2, (1, 64, 64), width=3)
    convolutions = [m for m in decoder.modules() if isinstance(m, nn.Conv2d)]
    assert [m.in_channels for m in convolutions] == [12, 12, 12, 6, 3]


@pytest.mark.parametrize("kind", [Perceptron, ConvolutionalEncoder, ConvolutionalDecoder])
def test_a_condition_matters_and_is_needed(kind: Any) -> None:
    torch.manual_seed(0)
    arguments: tuple[Any, ...] = {
        Perceptron: ((5,), (2, 3)),
        ConvolutionalEncoder: ((1, 6, 6), 3),
        ConvolutionalDecoder: (5, (1, 6, 6)),
    }[kind]
    module = kind(*arguments, condition=2)
    x = torch.randn(2, 1, 6, 6) if kind is ConvolutionalEncoder else torch.randn(2, 5)
    first, second = torch.eye(2)[[0, 0]], torch.eye(2)[[1, 1]]
    assert (module(x, first) != module(x, second)).any(1).all()
    name = kind.__name__
    with pytest.raises(ValueError, match=rf"{name}: condition must be float \(N, 2\), got None"):
        module(x)
    with pytest.raises(ValueError, match=rf"{name}: condition must be None, got float32 \(2, 2\)"):
        kind(*arguments)(x, first)


def test_an_encoder_is_told_at_its_first_features_and_at_its_last() -> None:
    encoder = ConvolutionalEncoder((1, 6, 6), 3, width=4, condition=2)
    encoder(torch.randn(2, 1, 6, 6), torch.eye(2)).square().sum().backward()
    assert encoder.told is not None
    assert encoder.told.weight.grad is not None
    assert (encoder.told.weight.grad != 0).all()
    assert encoder.readout.weight.grad is not None
    assert (encoder.readout.weight.grad[:, -2:] != 0).all()


def test_a_perceptron_is_linear_layers() -> None:
    torch.manual_seed(0)
    module = Perceptron((2, 3), (4, 1), width=5, depth=2, activation="relu", final="tanh")
    x = torch.randn(7, 2, 3)
    first, second = (m for m in module.hidden if isinstance(m, nn.Linear))
    expected = module.readout(second(first(x.flatten(1)).relu()).relu()).tanh()
    torch.testing.assert_close(module(x), expected.reshape(7, 4, 1))
    assert module(x[:0]).shape == (0, 4, 1)


@pytest.mark.parametrize(
    "module",
    [
        Perceptron((2, 3), (4,), width=5, depth=2, condition=3, activation="leaky_relu"),
        ConvolutionalEncoder((1, 5, 6), 4, width=3, depth=2, condition=2),
        ConvolutionalDecoder(4, (1, 5, 6), parameters=2, width=3, depth=2),
    ],
    ids=lambda module: type(module).__name__,
)
def test_config_makes_the_module_again(module: Any) -> None:
    made = type(module).from_config(json.loads(json.dumps(module.config())))
    assert made.config() == module.config()
    assert repr(made) == repr(module)
    with pytest.raises(ValueError, match="argument 'size' is unknown"):
        type(module).from_config({**module.config(), "size": 1})
    with pytest.raises(ValueError, match="argument 'width' is missing"):
        type(module).from_config({k: v for k, v in module.config().items() if k != "width"})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Perceptron((), (1,)), r"Perceptron: inputs must be 1 to 4 sizes, got \(\)"),
        (lambda: Perceptron(5, (1,)), "Perceptron: inputs must be 1 to 4 sizes, got 5"),
        (lambda: Perceptron((1,), (0,)), "Perceptron: outputs must be at least 1, got 0"),
        (lambda: Perceptron((2**24, 2**9), (1,)), "inputs must hold at most 2\\*\\*32 numbers"),
        (lambda: Perceptron((1,), (1,), depth=0), "Perceptron: depth must be at least 1, got 0"),
        (lambda: Perceptron((1,), (1,), activation="sine"), "activation must be one of silu"),
        (lambda: Perceptron((1,), (1,), final="relu"), "final must be one of none, tanh"),
        (lambda: ConvolutionalEncoder((5, 5), 1), r"shape must be \(channels, rows, columns\)"),
        (lambda: ConvolutionalEncoder((17, 5, 5), 1), "channels of shape must be at most 16"),
        (lambda: ConvolutionalDecoder(0, (1, 5, 5)), "inputs must be at least 1, got 0"),
        (lambda: ConvolutionalDecoder(1, (1, 5, 2**15)), "columns of shape must be at most 16384"),
        (lambda: ConvolutionalDecoder(1, (1, 5, 5), parameters=17), "parameters must be at most"),
    ],
)
def test_refused_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
