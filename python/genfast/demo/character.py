"""A character model from nothing: train, read, measure, draw fast."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from genfast.data import (
    NGram,
    Vocabulary,
    known_words,
    pydoc_topics,
    random_windows,
    read_text,
    split_tokens,
    windows,
)
from genfast.demo.threads import FasterThreads
from genfast.demo.timing import Timing, compare
from genfast.heads import Categorical
from genfast.models import SequenceModel
from genfast.training import History, fit

# Found by trying on two cores. Small batches learn more from each character, which counts most
# where the machine is slow.
_WINDOW, _BATCH, _EMBEDDING, _DROPOUT = 64, 8, 64, 0.15
_RATE, _BETAS = 8e-3, (0.9, 0.99)
_ORDER = 5
_LEAST_TEXT = 2000


@dataclass(frozen=True)
class Demo:
    """Train a character model for about a minute, read what it writes, time how it writes."""

    seconds: float = 75.0
    """How long to train."""
    seed: int = 0
    """Of the weights, the batches and the sample."""
    width: int = 256
    """Units of the LSTM."""
    length: int = 800
    """Characters of the sample that is shown."""
    temperature: float = 0.7
    """Of the sample: lower is more careful."""
    text: Path | None = None
    """A UTF-8 text file of your own; else the standard library's pydoc topics."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range."""
        for name, low in (("seconds", 0.0), ("temperature", 0.0)):
            if not low < getattr(self, name) < math.inf:
                raise ValueError(f"demo: {name} must be above {low:g}, got {getattr(self, name)}")
        for name in ("width", "length"):
            if getattr(self, name) < 1:
                raise ValueError(f"demo: {name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"demo: seed must be at least 0 and below 2**63, got {self.seed}")


@dataclass(frozen=True)
class Report:
    """What a demo measured.

    Attributes:
        bits: Held-out bits per character of the model.
        ngram_bits: The same of the interpolated 5-gram.
        sample: The text that was shown.
        known: Words of it that occur in the training text.
        words: Words of it.
        timings: The compiled draw against the plain loop.
        history: Of the training.
    """

    bits: float
    ngram_bits: float
    sample: str
    known: int
    words: int
    timings: tuple[Timing, ...]
    history: History


def run(options: Demo) -> Report:
    """Runs the demo, printing as it goes.

    Raises:
        ValueError: An option is out of range, or the text is too short or no text.
        OSError: The text cannot be read.
    """
    options.check()
    text = pydoc_topics() if options.text is None else read_text(options.text)
    if len(text) < _LEAST_TEXT:
        raise ValueError(f"demo: text must have {_LEAST_TEXT} characters or more, got {len(text)}")
    vocabulary = Vocabulary.of(text)
    train, held = split_tokens(vocabulary.encode(text))
    name = "the standard library's pydoc topics" if options.text is None else str(options.text)
    print(f"Text: {name}, {len(text):,} characters, {len(vocabulary)} different ones.")
    print("The last tenth is held out: neither model sees it before it is measured.\n")
    model, history = _train(options, len(vocabulary), train)
    bits, ngram_bits = _measure(model, train, held, len(vocabulary))
    sample = _show(options, model, vocabulary)
    known, words = known_words(sample, text[: len(train)])
    if words:
        print(f"{known} of its {words} words ({known / words:.0%}) occur in the training text.\n")
    timings = _time(options, model)
    _say_what_next(options)
    return Report(bits, ngram_bits, sample, known, words, timings, history)


def _train(
    options: Demo, classes: int, train: Int64[Tensor, " length"]
) -> tuple[SequenceModel, History]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = SequenceModel(
            Categorical(classes),
            width=options.width,
            embedding_width=_EMBEDDING,
            dropout=_DROPOUT,
        )
    weights = sum(p.numel() for p in model.parameters())
    threads = torch.get_num_threads()
    print(
        f"Training an LSTM of {options.width} units ({weights:,} weights) "
        f"for {options.seconds:g} s on {threads} thread{'s' * (threads > 1)} ...",
        flush=True,
    )
    batches = random_windows(train, _WINDOW, _BATCH, seed=options.seed)
    history = fit(
        model,
        batches,
        seconds=options.seconds,
        lr=_RATE,
        betas=_BETAS,
        seed=options.seed,
        callbacks=[FasterThreads()],
    )
    torch.set_num_threads(threads)
    print(f"{history.steps:,} steps of {_BATCH} x {_WINDOW} characters in {history.seconds:.0f} s.")
    if history.stopped == "interrupted":
        print("Stopped early: this is what it has learnt so far. Ctrl-C again leaves.")
    return model, history


def _measure(
    model: SequenceModel, train: Tensor, held: Tensor, classes: int
) -> tuple[float, float]:
    """Held-out bits per character of the model and of the n-gram."""
    tokens, lengths = windows(held, 8)
    model.eval()
    with torch.inference_mode():
        nats = -model.log_prob(tokens, lengths).sum().item()
    bits = nats / math.log(2) / len(held)
    ngram_bits = NGram(train, classes, _ORDER).bits_per_symbol(held, context=train)
    print("\nBits per character of the held-out text (fewer is better):")
    print(f"  {bits:.3f}   this model")
    print(f"  {ngram_bits:.3f}   a {_ORDER}-gram, interpolated (modified Kneser-Ney), same split")
    if bits >= ngram_bits:
        print("The model is behind: it needs more training (--seconds).")
    return bits, ngram_bits


def _show(options: Demo, model: SequenceModel, vocabulary: Vocabulary) -> str:
    """Streams a sample to the terminal, each character as it is drawn."""
    print(f"\nA sample at temperature {options.temperature:g}, shown as it is drawn:\n")
    sites = model.stream(1, seed=options.seed, temperature=options.temperature)
    sample = ""
    for values in islice(sites, options.length):
        character = vocabulary.decode(values)
        sys.stdout.write(character)
        sys.stdout.flush()
        sample += character
    print("\n")
    return sample


def _time(options: Demo, model: SequenceModel) -> tuple[Timing, ...]:
    print("Drawing, compiled, and by a plain PyTorch loop that keeps its state, same weights:")
    timings = [
        compare(model, n, length, seed=options.seed, temperature=options.temperature)
        for n, length in ((1, 1000), (64, 200))
    ]
    for timing in timings:
        print(
            f"  {timing.n:2} text{'s' if timing.n > 1 else ' '} at once: "
            f"{timing.compiled:.2f} us a character compiled, {timing.plain:.2f} us in PyTorch "
            f"({timing.form}): {timing.speedup:.1f} times as fast"
        )
    print(_agreement(timings))
    return tuple(timings)


def _agreement(timings: Sequence[Timing]) -> str:
    sites, differing = (sum(getattr(t, name) for t in timings) for name in ("sites", "differing"))
    if not differing:
        return f"Before timing, both drew the same {sites:,} characters from the same numbers."
    return (
        f"Before timing, both drew from the same numbers: {differing} of {sites:,} characters "
        "differ (rounding makes about one in a million differ)."
    )


def _say_what_next(options: Demo) -> None:
    print(
        "\nTry next:\n"
        "  genfast demo --text book.txt           a text of your own\n"
        f"  genfast demo --seconds 600 --width 512  a better model\n"
        "  genfast demo --temperature 0.4         safer, duller text\n"
        f"  genfast demo --seed {options.seed + 1:<19} other weights, another sample\n"
        "  genfast info                           what was built, and what this machine runs"
    )
