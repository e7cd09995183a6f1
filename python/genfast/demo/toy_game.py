"""The game of eight Gaussians: two numbers, so that one can watch both players."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from genfast.data import eight_centres, eight_gaussians, png
from genfast.demo.field import FieldPicture
from genfast.demo.gan_options import DemoGAN, ToyReport
from genfast.demo.threads import FasterThreads
from genfast.files.atomic import write_bytes
from genfast.metrics import ModeCoverage, mode_coverage
from genfast.models import GAN
from genfast.training import fit
from genfast.training.frames import Frames

__all__ = ["ToyGame", "covered", "toy_model"]

#: Standard deviation of each Gaussian.
SIGMA = 0.05
# Found by trying on two cores, over eight seeds.
_STEPS, _BATCH, _RATE, _AVERAGE = 2500, 256, 2e-3, 0.99
_POINTS, _DRAWN, _NEAR = 16_384, 4096, 4.0


def toy_model(seed: int) -> GAN:
    """The game of points that is played; its weights are of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GAN((2,), latent=2, width=128, depth=3, r1=0.1)


def covered(model: Any, seed: int = 0, n: int = _DRAWN) -> ModeCoverage:
    """Which of the eight modes samples reach, within four standard deviations."""
    return mode_coverage(model.sample(n, seed=seed).cpu(), eight_centres(), _NEAR * SIGMA)


class ToyGame:
    """Trains on the points, and makes the movie of it.

    Args:
        options: Of the demo.
        folder: Where gaussians.gif and gaussians.png go.
    """

    def __init__(self, options: DemoGAN, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._data = eight_gaussians(_POINTS, options.seed, sigma=SIGMA)
        self._field = FieldPicture(self._data, seed=options.seed)

    def run(self) -> ToyReport:
        """Plays, and says what came of it."""
        options, folder = self._options, self._folder
        print(
            f"A game of points: eight Gaussians on a circle, {_STEPS:,} steps of {_BATCH} of them, "
            f"{options.toy_seconds:g} s at most ...",
            flush=True,
        )
        model, frames = toy_model(options.seed), Frames(self.picture, options.frames)
        threads = torch.get_num_threads()
        history = fit(
            model,
            self._data,
            held_out=0.0,
            steps=_STEPS,
            seconds=options.toy_seconds,
            batch_size=_BATCH,
            lr=_RATE,
            ema=_AVERAGE,
            seed=options.seed,
            callbacks=[frames, FasterThreads()],
        )
        torch.set_num_threads(threads)
        found = covered(model.eval(), options.seed)
        write_bytes(folder / "gaussians.gif", frames.movie())
        write_bytes(folder / "gaussians.png", png(frames.frames[-1]))
        print(
            f"{history.steps:,} steps in {history.seconds:.0f} s: samples reach {found.covered} of "
            f"{found.modes} modes, {found.high_quality:.0%} lie within {_NEAR:g} standard "
            "deviations of one.\n"
            f"{folder}/gaussians.gif: data, samples, and what the discriminator believes.\n"
            f"{folder}/gaussians.png: its last frame.\n"
        )
        return ToyReport(found.covered, found.high_quality, history)

    def picture(self, model: Any, step: int) -> Any:
        """A frame, with how many modes are reached."""
        found = covered(model, self._options.seed, 800)
        return self._field(model, step, f"{found.covered} of {found.modes} modes")
