"""`genfast demo gan`: two games from nothing, looked at while they are learnt, and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast import data
from genfast.data import Images, grid, png
from genfast.data.movies import Pixels
from genfast.demo.asked import new_folder
from genfast.demo.exported import export_and_open
from genfast.demo.gan_options import DemoGAN, GANReport, ToyReport
from genfast.demo.rivals import Judge
from genfast.demo.threads import FasterThreads
from genfast.demo.toy_game import ToyGame
from genfast.files.atomic import write_bytes
from genfast.metrics import recognised
from genfast.models import GAN
from genfast.training import History, fit
from genfast.training.frames import Frames

__all__ = ["DemoGAN", "GANReport", "ToyReport", "run"]

# Found by trying on two cores, on splits of other seeds.
_STEPS, _BATCH, _RATE, _AVERAGE = 3000, 64, 1e-3, 0.998
_LATENT = 32
_OF_EACH, _JUDGED = 10, 100


def run(options: DemoGAN) -> GANReport:
    """Runs the demo, printing as it goes.

    Raises:
        ValueError: An option is out of range.
        OSError: The folder is there already or cannot be written.
        ImportError: scikit-learn is not installed, which holds the digits.
    """
    options.check()
    images = data.digits()
    train, held = images.split(seed=options.seed)
    folder = new_folder("gan", options.out)
    toy = ToyGame(options, folder).run()
    model, history = _train(options, train, folder)
    share, real = _judge(options, model, train, held)
    _draw(options, model, folder)
    exported = export_and_open(model, folder, {"recognised": share})
    _say_what_next(folder)
    return GANReport(toy, folder, share, real, exported, history)


def digits_model(images: Images, width: int, seed: int) -> GAN:
    """The game of digits that is played; its weights are of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GAN(
            images.shape,
            images.levels,
            latent=_LATENT,
            classes=images.classes,
            architecture="dcgan",
            width=width,
        )


def _train(options: DemoGAN, train: Images, folder: Path) -> tuple[GAN, History]:
    """Trains the game of digits, and makes the movie of fixed latents."""
    model = digits_model(train, options.width, options.seed)
    weights = sum(p.numel() for p in model.parameters())
    threads = torch.get_num_threads()
    print(
        f"A game of images: scikit-learn's digits, a DCGAN under labels ({weights:,} weights), "
        f"{_STEPS:,} steps\nof {_BATCH} images, {options.seconds:g} s at most, on up to {threads} "
        f"thread{'s' * (threads > 1)} ...",
        flush=True,
    )
    frames = Frames(lambda model, _step: _tiles(model, options.seed), options.frames)
    history = fit(
        model,
        train.tensors,
        held_out=0.0,
        steps=_STEPS,
        seconds=options.seconds,
        batch_size=_BATCH,
        lr=_RATE,
        ema=_AVERAGE,
        seed=options.seed,
        callbacks=[frames, FasterThreads()],
    )
    torch.set_num_threads(threads)
    write_bytes(folder / "training.gif", frames.movie())
    print(
        f"{history.steps:,} steps in {history.seconds:.0f} s.\n"
        f"{folder}/training.gif: the same latents through training, a class a row."
    )
    if history.stopped == "interrupted":
        print("Stopped early: this is what it has learnt so far. Ctrl-C again leaves.")
    return model.eval(), history


def _tiles(model: Any, seed: int) -> Pixels:
    """Ten of each class, a class a row."""
    drawn = model.sample(10 * _OF_EACH, seed=seed, classes=_labels(_OF_EACH))
    return grid(model.to_levels(drawn), model.levels, _OF_EACH)


def _labels(each: int) -> Int64[Tensor, " n"]:
    return torch.arange(10).repeat_interleave(each)


def _judge(options: DemoGAN, model: GAN, train: Images, held: Images) -> tuple[float, float]:
    """How many samples, and held-out digits, a classifier recognises that saw training digits."""
    assert held.labels is not None
    judge, labels = Judge(train), _labels(_JUDGED)
    drawn = model.to_levels(model.sample(len(labels), seed=options.seed, classes=labels))
    share, real = recognised(drawn, labels, judge), recognised(held.x, held.labels, judge)
    print(
        f"\nA support vector machine that learnt the same training digits takes {share:.1%} "
        f"of {len(labels):,} samples\nfor the digit that was asked for, and {real:.1%} of the "
        "held-out digits for what they are."
    )
    return share, real


def _draw(options: DemoGAN, model: GAN, folder: Path) -> None:
    write_bytes(folder / "digits.png", png(_tiles(model, options.seed)))
    print(f"{folder}/digits.png: ten new ones of each digit.\n")


def _say_what_next(folder: Path) -> None:
    sample = f"genfast sample {folder}/model --num 64 --out grid.png"
    print(
        "Try next:\n"
        f"  {sample:<54}  draw more\n"
        "  genfast train gan digits --out runs/digits              kept, resumable\n"
        "  genfast train gan gaussians --out runs/points           the game of points\n"
        "  genfast train gan PICTURES --size 28 28 --out runs/me   a folder of your own"
    )
