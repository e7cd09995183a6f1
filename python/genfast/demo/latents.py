"""`genfast demo latents`: an autoencoder of digits from nothing, measured, and looked into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genfast import data
from genfast.data import Images, PixelFrequencies, grid, png
from genfast.demo.asked import new_folder
from genfast.demo.exported import Exported, export_and_open
from genfast.demo.latents_options import DemoLatents, LatentsReport, Measured
from genfast.demo.rivals import Judge, class_pca_error
from genfast.demo.threads import FasterThreads
from genfast.files.atomic import write_bytes
from genfast.metrics import recognised
from genfast.models import VAE
from genfast.random import fold
from genfast.training import History, fit
from genfast.training.frames import Frames

__all__ = ["DemoLatents", "LatentsReport", "Measured", "run"]

Pixels = npt.NDArray[np.uint8]

# Found by trying on two cores, on splits of other seeds.
_BATCH, _RATE, _BETAS, _AVERAGE, _DECAY = 32, 3e-3, (0.9, 0.99), 0.998, 0.05
# From then on it learns 1,617 digits by heart, and the held-out ones worse.
_STEPS = 4000
_IMPORTANCE = 256
_OF_EACH = 10
# Samples of each class that are shown to the classifier.
_JUDGED = 100
_TRAVERSED, _PAIRS = 8, 4


def run(options: DemoLatents) -> LatentsReport:
    """Runs the demo, printing as it goes.

    Raises:
        ValueError: An option is out of range.
        OSError: The folder is there already or cannot be written.
        ImportError: scikit-learn is not installed, which holds the digits.
    """
    options.check()
    images = data.digits()
    train, held = images.split(seed=options.seed)
    folder = new_folder("latents", options.out)
    _, h, w = images.shape
    print(
        f"Images: scikit-learn's digits, {len(images):,} of {h}x{w} pixels, {images.levels} "
        f"levels, {images.classes} classes.\n"
        "A tenth is held out: the model does not see it before it is measured.\n"
    )
    model, history, frames = _train(options, train)
    write_bytes(folder / "training.gif", frames.movie())
    measured = _measure(options, model, train, held)
    _draw(options, model, held, folder)
    exported = _export(model, folder, measured)
    _say_what_next(folder)
    return LatentsReport(measured, folder, exported, history)


def _train(options: DemoLatents, train: Images) -> tuple[VAE, History, Frames]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold(options.seed, "init"))
        model = VAE(
            train.shape,
            train.levels,
            latent=options.latent,
            classes=train.classes,
            width=options.width,
        )
    weights = sum(p.numel() for p in model.parameters())
    threads = torch.get_num_threads()
    print(
        f"Training a VAE of {options.latent} latents, told the class ({weights:,} weights),\n"
        f"for {_STEPS:,} steps of {_BATCH} images, {options.seconds:g} s at most, on up to "
        f"{threads} thread{'s' * (threads > 1)} ...",
        flush=True,
    )
    frames = Frames(lambda model, _step: _tiles(model, options.seed))
    history = fit(
        model,
        train.tensors,
        held_out=0.0,
        steps=_STEPS,
        seconds=options.seconds,
        batch_size=_BATCH,
        lr=_RATE,
        betas=_BETAS,
        weight_decay=_DECAY,
        ema=_AVERAGE,
        seed=options.seed,
        callbacks=[FasterThreads(), frames],
    )
    torch.set_num_threads(threads)
    print(f"{history.steps:,} steps in {history.seconds:.0f} s.")
    if history.stopped == "interrupted":
        print("Stopped early: this is what it has learnt so far. Ctrl-C again leaves.")
    return model.eval(), history, frames


def _tiles(model: VAE, seed: int) -> Pixels:
    """The same latents each time: a row holds one, a column a class."""
    made = model.cross(model.latents(6, seed=seed))
    return grid(made.flatten(0, 1), None, 10)


def _measure(options: DemoLatents, model: VAE, train: Images, held: Images) -> Measured:
    """Bits, reconstructions and samples, each beside a rival that is simpler."""
    assert held.labels is not None
    with torch.no_grad():
        made = model.reconstruct(held.x, held.labels)
    error = (made - model.from_levels(held.x)).square().mean().sqrt() * (held.levels - 1)
    classes = torch.arange(10).repeat_interleave(_JUDGED)
    samples = model.sample(len(classes), seed=options.seed, classes=classes)
    judge = Judge(train)
    found = Measured(
        model.bits_per_dim(held.x, held.labels, importance=_IMPORTANCE),
        model.bits_per_dim(held.x, held.labels, importance=1),
        PixelFrequencies(train).bits_per_dim(held),
        float(error),
        class_pca_error(train, held, model.latent),
        recognised(samples, classes, judge),
        recognised(held.x, held.labels, judge),
    )
    _say(found, model.latent)
    return found


def _say(found: Measured, latent: int) -> None:
    print("\nBits per pixel of the held-out digits (fewer is better):")
    print(
        f"  {found.bits:6.3f}   this model at most, by {_IMPORTANCE} weighted draws of z for each"
    )
    print(f"  {found.elbo_bits:6.3f}   the same by one draw, which is less exact")
    print(
        f"  {found.pixel_bits:6.3f}   each pixel by itself: its frequencies in the digits of that "
        "class"
    )
    print(f"\nA held-out digit told by its class and {latent} numbers comes back with an error of")
    print(f"  {found.error:6.3f}   levels (root mean square) by this model")
    print(f"  {found.pca_error:6.3f}   by {latent} principal components and the mean of its class")
    print("\nA classifier that was trained on real digits takes for what they are to be")
    print(f"  {found.recognised:6.1%}   of 1,000 samples")
    print(f"  {found.held_recognised:6.1%}   of the held-out digits")
    if found.bits >= found.pixel_bits or found.error >= found.pca_error:
        print("The model is behind: it needs more training (--seconds).")


def _draw(options: DemoLatents, model: VAE, held: Images, folder: Path) -> None:
    """Every picture but the movie."""
    pictures = {
        "samples": (_samples(options, model), "ten new ones of each digit, a digit a row"),
        "reconstructions": (
            _reconstructions(model, held),
            "held-out digits, below each its return",
        ),
        "traversals": (
            _traversals(model, held),
            "twos; each row moves a latent from -3 to 3, those that tell most first",
        ),
        "classes": (_classes(options, model), "a latent a row, under each class: its style stays"),
    }
    print()
    for name, (picture, words) in pictures.items():
        write_bytes(folder / f"{name}.png", png(picture))
        print(f"{folder}/{name}.png: {words}.")
    print(f"{folder}/training.gif: the same latents all through training.\n")


def _samples(options: DemoLatents, model: VAE) -> Pixels:
    classes = torch.arange(10).repeat_interleave(_OF_EACH)
    return grid(model.sample(len(classes), seed=options.seed, classes=classes), None, _OF_EACH)


def _reconstructions(model: VAE, held: Images) -> Pixels:
    """Of each class the first held-out digits; below a row of them stands what came back."""
    assert held.labels is not None
    pairs = []
    for place in range(_PAIRS):
        each = [(held.labels == digit).nonzero()[:, 0] for digit in range(10)]
        chosen = torch.stack([places[place % len(places)] for places in each])
        x, classes = held.x[chosen], held.labels[chosen]
        with torch.no_grad():
            both = torch.cat([model.from_levels(x), model.reconstruct(x, classes)])
        pairs.append(grid(both, None, 10))
    return np.concatenate([np.pad(pair, ((0, 9), (0, 0), (0, 0))) for pair in pairs])[:-9]


def _traversals(model: VAE, held: Images) -> Pixels:
    assert held.labels is not None
    with torch.no_grad():
        told = model.dimension_kl(held.x, held.labels).mean(0)
    dimensions = told.argsort(descending=True)[:_TRAVERSED].tolist()
    values = torch.linspace(-3, 3, 13)
    made = model.traverse(torch.zeros(model.latent), values, dimensions=dimensions, classes=2)
    return grid(made.flatten(0, 1), None, len(values))


def _classes(options: DemoLatents, model: VAE) -> Pixels:
    z = model.latents(8, seed=options.seed, index=1000)
    return grid(model.cross(z).flatten(0, 1), None, 10)


def _export(model: VAE, folder: Path, measured: Measured) -> Exported | None:
    return export_and_open(model, folder, {"held_out_bits_per_dim": measured.bits})


def _say_what_next(folder: Path) -> None:
    sample = f"genfast sample {folder}/model --num 64 --out grid.png"
    print(
        "Try next:\n"
        f"  {sample:<60}  draw more\n"
        "  genfast train vae digits --out runs/vae                       kept, resumable\n"
        "  genfast train vae PICTURES --size 28 28 \\\n"
        "      --architecture convolutional --out runs/me                a folder of your own"
    )
