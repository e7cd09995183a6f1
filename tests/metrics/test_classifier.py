"""A classifier of digits, the same one each time, whose features tell digits from noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from genfast.data import Images, digits
from genfast.metrics import Classifier, frechet_distance, recognised, train_classifier

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def parts() -> tuple[Images, Images]:
    return digits().split(0.2, seed=3)


@pytest.fixture(scope="module")
def classifier(parts: tuple[Images, Images]) -> Classifier:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = train_classifier(parts[0], width=12, epochs=8, progress=False)
    torch.set_num_threads(threads)
    return made


def test_it_knows_digits(classifier: Classifier, parts: tuple[Images, Images]) -> None:
    held = parts[1]
    assert held.labels is not None
    assert classifier.accuracy(held.x, held.labels) > 0.9
    assert not classifier.training
    assert classifier.accuracy(held.x, (held.labels + 1) % 10) < 0.03


def test_features_are_those_of_the_layer_before_the_last(
    classifier: Classifier, parts: tuple[Images, Images]
) -> None:
    x = parts[1].x[:300]
    found = classifier.train().features(x)
    assert classifier.training
    classifier.eval()
    assert (found.dtype, found.shape) == (torch.float64, (300, 64))
    logits = classifier.readout(found.float())
    torch.testing.assert_close(logits, classifier(x))
    assert classifier.predict(x).equal(logits.argmax(1))
    assert found.min() == 0
    assert found.std(0).median() > 0.1


def test_levels_and_their_shares_are_the_same(
    classifier: Classifier, parts: tuple[Images, Images]
) -> None:
    x = parts[1].x[:7]
    for shares in (x / 16, (x / 16).double()):
        torch.testing.assert_close(classifier.features(x), classifier.features(shares))
    assert classifier.features(x[:0]).shape == (0, 64)


def test_noise_is_further_than_digits(classifier: Classifier, parts: tuple[Images, Images]) -> None:
    train, held = parts
    real = classifier.features(held.x)
    other = classifier.features(train.x[: len(held)])
    noise = classifier.features(torch.randint(17, held.x.shape))
    assert frechet_distance(real, noise) > 10 * frechet_distance(real, other)


@pytest.mark.parametrize(
    ("shape", "levels"), [((1, 28, 28), 2), ((3, 5, 9), 256), ((2, 1, 1), 4), ((1, 17, 4), 3)]
)
def test_any_size(shape: tuple[int, int, int], levels: int) -> None:
    model = Classifier(shape, levels, 3, features=5, width=4)
    x = torch.randint(levels, (6, *shape))
    assert model.features(x).shape == (6, 5)
    assert model(x).shape == (6, 3)


def test_it_is_a_function_of_the_seed(parts: tuple[Images, Images]) -> None:
    few = parts[0].take(torch.arange(200))
    state = torch.get_rng_state()

    def made(seed: int) -> Tensor:
        model = train_classifier(few, features=8, width=4, epochs=1, seed=seed, progress=False)
        return model.features(few.x)

    first = made(0)
    torch.rand(3)
    assert made(0).equal(first)
    assert not made(1).equal(first)
    torch.set_rng_state(state)
    made(0)
    assert torch.get_rng_state().equal(state)


def test_recognised_counts_those_that_are_what_they_should_be() -> None:
    class Constant:
        def predict(self, x: Tensor) -> np.ndarray:
            return np.array([3, 1, 2, 1])[: len(x)]

    labels, x = torch.tensor([3, 1, 1, 1]), torch.zeros(4, 1)
    assert recognised(x, labels, Constant()) == 0.75
    with pytest.raises(ValueError, match=r"labels must be int64 \(N,\) with N=4, got int64 \(3,\)"):
        recognised(x, labels[:3], Constant())
    with pytest.raises(ValueError, match=r"labels must be int64 .* got float32 \(4,\)"):
        recognised(x, labels.float(), Constant())
    with pytest.raises(ValueError, match="samples must have at least 1 rows"):
        recognised(x[:0], labels[:0], Constant())
    with pytest.raises(ValueError, match=r"must predict \(N,\) labels with N=5, got int64 \(4,\)"):
        recognised(torch.zeros(5, 1), torch.zeros(5).long(), Constant())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 1, 8, 8).int(), r"must be int64 \(N, C, H, W\) .* got int32"),
        (torch.zeros(2, 1, 8, 7).long(), r"must be int64 .* H=8, W=8, got int64 \(2, 1, 8, 7\)"),
        (torch.full((2, 1, 8, 8), 17), "must be at least 0 and below 17, got 17"),
        (torch.zeros(2, 8, 8), r"must be shares \(N, C, H, W\) with C=1, H=8, W=8, got float32"),
        (torch.full((2, 1, 8, 8), 1.5), r"shares .* from 0 to 1, got 1.5 at \[0, 0, 0, 0\]"),
        (torch.full((2, 1, 8, 8), torch.nan), "got nan at"),
        ([1], "must be int64"),
    ],
)
def test_bad_images(x: Tensor, message: str) -> None:
    model = Classifier((1, 8, 8), 17, 10, width=2)
    for name in ("features", "predict"):
        with pytest.raises(ValueError, match=f"^{name}: x .*{message}"):
            getattr(model, name)(x)


def test_what_cannot_be_learnt(parts: tuple[Images, Images]) -> None:
    few = parts[0].take(torch.arange(40))
    with pytest.raises(ValueError, match="images must have labels, got digits without"):
        train_classifier(few.unlabelled())
    zeros = replace(few, labels=torch.zeros(40).long(), class_names=("zero",))
    with pytest.raises(ValueError, match=r"at least 2 classes, and each of them, got \[40\]"):
        train_classifier(zeros)
    with pytest.raises(ValueError, match=r"each of them, got \[40, 0, 0"):
        train_classifier(replace(few, labels=torch.zeros(40).long()))
    for name in ("epochs", "features", "width"):
        with pytest.raises(ValueError, match=f"train_classifier: {name} must be at least 1, got 0"):
            train_classifier(few, **{name: 0})
