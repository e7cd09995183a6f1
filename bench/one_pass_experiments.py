"""What is measured of one-pass models: each experiment trains one, and returns its figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.one_pass_models import Recipe, autoencoder, digits_gan, fitted, toy_gan, vae
from bench.one_pass_rivals import gaussian_images, mean_error, pca_error, squared_error
from genfast import data, metrics
from genfast.data import Images, PixelFrequencies
from genfast.demo.rivals import Judge

#: Latents per image of the importance-weighted bound.
IMPORTANCE = 256
#: Samples of a class that the judge sees.
PER_CLASS = 100
#: Points that the toy game learns from; that it is judged by; and how many sigmas from a mode these
#: may lie.
TOY_TRAINED, TOY_POINTS, TOY_REACH = 16_384, 4096, 4.0
SIGMA = 0.05
SHARE_RECOGNISED, TIMES_NEARER = 0.85, 5.0
Figures = dict[str, float]


@dataclass(frozen=True)
class Experiment:
    """One row of the results.

    Args:
        run: Seed, recipe and a name for progress to the figures of one run.
        recipe: How the model is trained.
        quick: The same in a few steps, for tests.
        target: What the figures should reach, in words.
        reached: Whether they do.
    """

    run: Callable[[int, Recipe, str], Figures]
    recipe: Recipe
    quick: Recipe
    target: str
    reached: Callable[[Figures], bool]


def parts(seed: int, labelled: bool) -> tuple[Images, Images]:
    """Training images and held-out ones."""
    images = data.digits()
    return (images if labelled else images.unlabelled()).split(seed=seed)


def likelihood(model: Any, train: Images, held: Images) -> Figures:
    """Bits a pixel of held-out images: a bound, and those of independent pixels."""
    return {
        "bits": model.bits_per_dim(held.x, held.labels, importance=IMPORTANCE),
        "independent_bits": PixelFrequencies(train).bits_per_dim(held),
    }


def restoration(model: Any, train: Images, held: Images) -> Figures:
    """Squared error of held-out images that were encoded and decoded; of the same by rivals."""
    with torch.no_grad():
        restored = model.reconstruct(held.x)
    return {
        "error": squared_error(held, restored),
        "pca_error": pca_error(train, held, model.latent),
        "mean_error": mean_error(train, held),
    }


def recognition(model: Any, judge: Judge, held: Images, seed: int) -> Figures:
    """Share of samples of each class that are taken for it; and of held-out images."""
    assert held.labels is not None
    classes = torch.arange(10).repeat_interleave(PER_CLASS)
    samples = model.to_levels(model.sample(len(classes), seed=seed, classes=classes))
    return {
        "recognised": metrics.recognised(samples, classes, judge),
        "recognised_held_out": metrics.recognised(held.x, held.labels, judge),
    }


def distances(
    samples: Callable[[int, int], Tensor],
    train: Images,
    held: Images,
    classifier: metrics.Classifier,
) -> Figures:
    """How far samples lie from real images, beside these from each other and a Gaussian of pixels.

    Both halves of the training images are held against each other, against as many samples and
    as many images of the Gaussian: all sets have the same size, so that its bias is in all alike,
    and goes out of the differences.

    Args:
        samples: Number and seed to images int64.
        train: Real images.
        held: As `train`, with labels.
        classifier: Whose features are compared.
    """
    n = len(train) // 2
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    first, second = (classifier.features(train.x[order[i * n : i * n + n]]) for i in (0, 1))
    drawn = [classifier.features(samples(n, seed)) for seed in (0, 1)]
    pixels = [classifier.features(gaussian_images(train, n, seed)) for seed in (0, 1)]

    def apart(sets: list[Tensor]) -> float:
        return statistics.fmean(
            metrics.frechet_distance(x, y) for x, y in zip(sets, (first, second), strict=True)
        )

    real = metrics.frechet_distance(first, second)
    ours, gaussian = apart(drawn), apart(pixels)
    kernel = metrics.kernel_distance(torch.cat(drawn), torch.cat([first, second]))
    support = metrics.precision_recall(drawn[0], first)
    copied = metrics.memorisation(samples(2 * n, 2), train.x, held.x)
    assert held.labels is not None
    return {
        "frechet": ours,
        "frechet_real": real,
        "frechet_gaussian": gaussian,
        "times_nearer": (gaussian - real) / max(ours - real, 1e-12),
        "kernel": kernel.value,
        "kernel_error": kernel.standard_error,
        "precision": support.precision,
        "recall": support.recall,
        "copies": copied.copies,
        "copies_held_out": copied.held_out_copies,
        "copying_score": copied.score,
        "classifier_accuracy": classifier.accuracy(held.x, held.labels),
    }


def run_vae(seed: int, recipe: Recipe, name: str) -> Figures:
    train, held = parts(seed, labelled=False)
    model = fitted(vae(train, seed), train, recipe, seed, name)
    return likelihood(model, train, held) | restoration(model, train, held)


def run_vae_labels(seed: int, recipe: Recipe, name: str) -> Figures:
    train, held = parts(seed, labelled=True)
    model = fitted(vae(train, seed), train, recipe, seed, name)
    return likelihood(model, train, held) | recognition(model, Judge(train), held, seed)


def run_autoencoder(seed: int, recipe: Recipe, name: str) -> Figures:
    train, held = parts(seed, labelled=False)
    model = fitted(autoencoder(train, seed), train, recipe, seed, name)
    return restoration(model, train, held)


def run_gan(seed: int, recipe: Recipe, name: str) -> Figures:
    train, held = parts(seed, labelled=True)
    model = fitted(digits_gan(train.unlabelled(), seed), train.unlabelled(), recipe, seed, name)
    classifier = metrics.train_classifier(train, progress=False)
    return distances(lambda n, s: model.to_levels(model.sample(n, seed=s)), train, held, classifier)


def run_gan_labels(seed: int, recipe: Recipe, name: str) -> Figures:
    train, held = parts(seed, labelled=True)
    model = fitted(digits_gan(train, seed), train, recipe, seed, name)
    return recognition(model, Judge(train), held, seed)


def run_toy(seed: int, recipe: Recipe, name: str) -> Figures:
    points = data.eight_gaussians(TOY_TRAINED, seed, sigma=SIGMA)
    model = fitted(toy_gan(seed), points, recipe, seed, name)
    samples = model.sample(TOY_POINTS, seed=seed)
    found = metrics.mode_coverage(samples, data.eight_centres(), TOY_REACH * SIGMA)
    return {
        "covered": found.covered,
        "modes": found.modes,
        "high_quality": found.high_quality,
        "divergence": found.divergence if found.covered else math.log(found.modes),
    }


def _restores(run: Figures) -> bool:
    return run["error"] < run["pca_error"]


def _likelier(run: Figures) -> bool:
    return run["bits"] < run["independent_bits"]


def _recognised(run: Figures) -> bool:
    return run["recognised"] >= SHARE_RECOGNISED


#: By name, in the order in which they are run.
EXPERIMENTS = {
    "vae": Experiment(
        run_vae,
        Recipe(4000, ema=0.999),
        Recipe(4),
        "fewer bits than independent pixels, smaller error than as many principal components",
        lambda run: _likelier(run) and _restores(run),
    ),
    "vae labels": Experiment(
        run_vae_labels,
        Recipe(4000, ema=0.999),
        Recipe(4),
        "fewer bits than independent pixels under labels, 85% of the samples recognised",
        lambda run: _likelier(run) and _recognised(run),
    ),
    "autoencoder": Experiment(
        run_autoencoder,
        Recipe(4000, ema=0.999),
        Recipe(4),
        "smaller error than as many principal components",
        _restores,
    ),
    "gan": Experiment(
        run_gan,
        Recipe(4000, lr=5e-4, ema=0.999),
        Recipe(4),
        "5 times nearer to real against real than a Gaussian fitted to the pixels",
        lambda run: run["times_nearer"] >= TIMES_NEARER,
    ),
    "gan labels": Experiment(
        run_gan_labels,
        Recipe(4000, lr=5e-4, ema=0.999),
        Recipe(4),
        "85% of the samples recognised",
        _recognised,
    ),
    "toy": Experiment(
        run_toy,
        Recipe(6000, batch_size=256, ema=0.999),
        Recipe(4),
        "eight modes of eight",
        lambda run: run["covered"] == run["modes"] == 8,
    ),
}
