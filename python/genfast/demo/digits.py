"""`genfast demo digits`: a model of images from nothing, looked at, measured, timed, exported."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast import data
from genfast.data import Images, PixelFrequencies, grid, png
from genfast.demo.asked import new_folder
from genfast.demo.digits_options import Bits, DemoDigits, DigitsReport
from genfast.demo.drawing import DrawTiming, compare_drawing
from genfast.demo.exported import export_and_open
from genfast.demo.png_size import png_bits_each, png_bits_together
from genfast.demo.threads import FasterThreads
from genfast.files.atomic import write_bytes
from genfast.likelihood import bits_per_dim
from genfast.models import PixelCNN
from genfast.training import History, fit

__all__ = ["DemoDigits", "DigitsReport", "run"]

# Found by trying on two cores, on splits of other seeds.
_BATCH, _RATE, _BETAS, _AVERAGE, _DECAY = 16, 2e-3, (0.9, 0.99), 0.997, 0.1
# From then on it learns 1,617 digits by heart, and the held-out ones worse.
_STEPS = 2000
_OF_EACH = 10
_COMPLETIONS = 5


def run(options: DemoDigits) -> DigitsReport:
    """Runs the demo, printing as it goes.

    Raises:
        ValueError: An option is out of range.
        OSError: The folder is there already or cannot be written.
        ImportError: scikit-learn is not installed, which holds the digits.
    """
    options.check()
    images = data.digits()
    train, held = images.split(seed=options.seed)
    folder = new_folder("digits", options.out)
    _, h, w = images.shape
    print(
        f"Images: scikit-learn's digits, {len(images):,} of {h}x{w} pixels, {images.levels} "
        f"levels, {images.classes} classes.\n"
        "A tenth is held out: the model does not see it before it is measured.\n"
    )
    model, history = _train(options, train)
    bits = _measure(model, train, held)
    _draw(options, model, folder)
    _complete(options, model, held, folder)
    timing = _time(options, model)
    exported = export_and_open(model, folder, {"held_out_bits_per_dim": bits.model})
    _say_what_next(options, folder)
    return DigitsReport(bits, folder, exported, timing, history)


def _train(options: DemoDigits, train: Images) -> tuple[PixelCNN, History]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = PixelCNN(
            train.shape,
            train.levels,
            width=options.width,
            depth=options.depth,
            classes=train.classes,
        )
    weights = sum(p.numel() for p in model.parameters())
    threads = torch.get_num_threads()
    print(
        f"Training a gated PixelCNN of width {options.width} and depth {options.depth} "
        f"({weights:,} weights)\nfor {_STEPS:,} steps of {_BATCH} images, {options.seconds:g} s at "
        f"most, on up to {threads} thread{'s' * (threads > 1)} ...",
        flush=True,
    )
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
        callbacks=[FasterThreads()],
    )
    torch.set_num_threads(threads)
    print(f"{history.steps:,} steps in {history.seconds:.0f} s.")
    if history.stopped == "interrupted":
        print("Stopped early: this is what it has learnt so far. Ctrl-C again leaves.")
    return model.eval(), history


def _measure(model: PixelCNN, train: Images, held: Images) -> Bits:
    """Held-out bits per dim of the model, of independent pixels, and of PNG in two ways."""
    assert held.labels is not None
    bits = Bits(
        bits_per_dim(model, held.x, classes=held.labels),
        PixelFrequencies(train).bits_per_dim(held),
        png_bits_together(held),
        png_bits_each(held),
    )
    print("\nBits per pixel of the held-out digits (fewer is better):")
    print(f"  {bits.model:6.3f}   this model")
    print(
        f"  {bits.pixels:6.3f}   each pixel by itself: its frequencies in the digits of that class"
    )
    print(f"  {bits.png:6.3f}   PNG, all of them in one file, packed as it gets smallest")
    print(f"  {bits.png_each:6.3f}   PNG, each in a file of its own: mostly headers")
    if bits.model >= bits.pixels:
        print("The model is behind: it needs more training (--seconds).")
    return bits


def _draw(options: DemoDigits, model: PixelCNN, folder: Path) -> None:
    """Ten of each class, a class a row."""
    images = model.sample(
        _OF_EACH * 10, seed=options.seed, classes=_labels(), temperature=options.temperature
    )
    _write(folder / "digits.png", grid(images, model.levels, _OF_EACH))
    print(f"\n{folder}/digits.png: ten new ones of each digit.")


def _labels() -> Int64[Tensor, " n"]:
    return torch.arange(10).repeat_interleave(_OF_EACH)


def _complete(options: DemoDigits, model: PixelCNN, held: Images, folder: Path) -> None:
    """A held-out digit of each class a row: its upper half, completions of it, and the truth."""
    assert held.labels is not None
    rows = torch.stack([(held.labels == digit).nonzero()[0, 0] for digit in range(10)])
    truth, classes = held.x[rows], held.labels[rows]
    seen = torch.zeros(1, 1, *truth.shape[2:], dtype=torch.bool)
    seen[:, :, : truth.shape[2] // 2] = True
    times = _COMPLETIONS * len(truth)
    drawn = model.sample(
        times,
        seed=options.seed,
        classes=classes.repeat_interleave(_COMPLETIONS),
        given=(truth.repeat_interleave(_COMPLETIONS, 0), seen.expand(times, -1, -1, -1)),
        temperature=options.temperature,
    )
    half = truth.where(seen, -1)
    drawn = drawn.view(-1, _COMPLETIONS, *truth.shape[1:])
    tiles = torch.cat([half[:, None], drawn, truth[:, None]], 1).flatten(0, 1)
    _write(folder / "completed.png", grid(tiles, model.levels, _COMPLETIONS + 2))
    print(
        f"{folder}/completed.png: upper halves of held-out digits, {_COMPLETIONS} completions of "
        "each, the truth."
    )


def _write(path: Path, pixels: data.pictures.Pixels) -> None:
    write_bytes(path, png(pixels))


def _time(options: DemoDigits, model: PixelCNN) -> DrawTiming:
    timing = compare_drawing(model, _labels(), seed=options.seed, temperature=options.temperature)
    forward, naive = (t / timing.compiled for t in (timing.forward, timing.naive))
    print(f"\nMilliseconds for all {timing.n} digits; same weights, same random numbers:")
    print(f"  {1e3 * timing.compiled:7.1f}   drawn by the compiled core")
    print(
        f"  {1e3 * timing.forward:7.1f}   one forward pass of PyTorch over them ({timing.form}): "
        f"{forward:.2f} times as long"
    )
    print(
        f"  {1e3 * timing.naive:7.1f}   drawn with a forward pass a pixel: {naive:.0f} times as "
        f"long\n            (scaled from {timing.pixels} of {timing.draws // timing.n} pixels)"
    )
    if timing.differing:
        print(f"{timing.differing} of {timing.draws:,} pixels differ in PyTorch, by rounding.\n")
    else:
        print(f"Before timing, both drew the same {timing.draws:,} pixels.\n")
    return timing


def _say_what_next(options: DemoDigits, folder: Path) -> None:
    sample = f"genfast sample {folder}/model --num 64 --out grid.png"
    print(
        "Try next:\n"
        f"  {sample:<58}  draw more\n"
        "  genfast train pixelcnn digits --out runs/digits             kept, resumable\n"
        "  genfast train pixelcnn PICTURES --size 28 28 --out runs/me  a folder of your own"
    )
