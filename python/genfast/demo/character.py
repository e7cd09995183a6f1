"""A character model from nothing: train, read, measure, draw fast, export."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

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
)
from genfast.demo.exported import Exported, export_and_open
from genfast.demo.measure import bits_per_symbol
from genfast.demo.options import Demo, Report
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
# Three words that begin a sentence: a sample that starts here stands in prose, not in a table.
_SENTENCE = re.compile(r"(?<=[.!?]\s)[A-Z][a-z]+ [a-z]+ [a-z]+ ")


def run(options: Demo) -> Report:
    """Runs the demo, printing as it goes.

    Raises:
        ValueError: An option is out of range, or the text is too short or no text.
        OSError: The text cannot be read, or the folder cannot be written.
    """
    options.check()
    text, vocabulary = _read(options)
    train, held = split_tokens(vocabulary.encode(text))
    prompt = _prompt(options, vocabulary, text[len(train) :])
    model, history = _train(options, vocabulary, train)
    bits, ngram_bits = _measure(model, train, held)
    sample = _show(options, model, vocabulary, prompt)
    known, words = known_words(sample, text[: len(train)])
    if words:
        print(f"{known} of its {words} words ({known / words:.0%}) occur in the training text.\n")
    with _folder(options) as folder:
        exported = export_and_open(model, folder, {"held_out_bits_per_character": bits})
        timings = _time(options, model, exported)
    _say_what_next(options)
    return Report(bits, ngram_bits, prompt, sample, known, words, exported, timings, history)


def _read(options: Demo) -> tuple[str, Vocabulary]:
    text = pydoc_topics() if options.text is None else read_text(options.text)
    if len(text) < _LEAST_TEXT:
        raise ValueError(f"demo: text must have {_LEAST_TEXT} characters or more, got {len(text)}")
    vocabulary = Vocabulary.of(text)
    name = "the standard library's pydoc topics" if options.text is None else str(options.text)
    print(f"Text: {name}, {len(text):,} characters, {len(vocabulary)} different ones.")
    return text, vocabulary


def _prompt(options: Demo, vocabulary: Vocabulary, held: str) -> str:
    """The prompt asked for, or one of the beginnings of sentences that training does not see."""
    if options.prompt is not None:
        vocabulary.encode(options.prompt)
        return options.prompt
    found = _SENTENCE.findall(held)
    return found[options.seed % len(found)] if found else ""


def _train(
    options: Demo, vocabulary: Vocabulary, train: Int64[Tensor, " length"]
) -> tuple[SequenceModel, History]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = SequenceModel(
            Categorical(len(vocabulary)),
            width=options.width,
            embedding_width=_EMBEDDING,
            dropout=_DROPOUT,
            symbols=vocabulary,
        )
    weights = sum(p.numel() for p in model.parameters())
    threads = torch.get_num_threads()
    print("The last tenth is held out: neither model sees it before it is measured.\n")
    print(
        f"Training an LSTM of {options.width} units ({weights:,} weights) "
        f"for {options.seconds:g} s on up to {threads} thread{'s' * (threads > 1)} ...",
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


def _measure(model: SequenceModel, train: Tensor, held: Tensor) -> tuple[float, float]:
    """Held-out bits per character of the model and of the n-gram."""
    model.eval()
    bits = bits_per_symbol(model, held)
    ngram_bits = NGram(train, model.head.classes, _ORDER).bits_per_symbol(held, context=train)
    print("\nBits per character of the held-out text (fewer is better):")
    print(f"  {bits:.3f}   this model")
    print(f"  {ngram_bits:.3f}   a {_ORDER}-gram, interpolated (modified Kneser-Ney), same split")
    if bits >= ngram_bits:
        print("The model is behind: it needs more training (--seconds).")
    return bits, ngram_bits


def _show(options: Demo, model: SequenceModel, vocabulary: Vocabulary, prompt: str) -> str:
    """Streams a sample to the terminal, each character as it is drawn."""
    print(f"\nA sample at temperature {options.temperature:g}, shown as it is drawn", end="")
    print(f', given "{prompt}":\n' if prompt else ":\n")
    tokens = vocabulary.encode(prompt)[None] if prompt else None
    sites = model.stream(1, seed=options.seed, temperature=options.temperature, prompt=tokens)
    sys.stdout.write(prompt)
    sample = ""
    for values in islice(sites, options.length):
        character = vocabulary.decode(values)
        sys.stdout.write(character)
        sys.stdout.flush()
        sample += character
    print("\n")
    return sample


@contextmanager
def _folder(options: Demo) -> Iterator[Path]:
    """Where files are written: the folder asked for, or one that goes away."""
    if options.out is not None:
        options.out.mkdir(parents=True)
        yield options.out
        return
    with TemporaryDirectory(prefix="genfast-") as folder:
        yield Path(folder)


def _time(options: Demo, model: SequenceModel, exported: Exported | None) -> tuple[Timing, ...]:
    print("Microseconds a character: by the compiled core, by the exported sampler in ONNX Runtime")
    print("and by a plain PyTorch loop that keeps its state; same weights, same numbers:")
    sampler = None if exported is None else exported.sampler
    drawn = {"seed": options.seed, "temperature": options.temperature}
    timings = tuple(
        compare(model, n, length, **drawn, sampler=sampler)  # type: ignore[arg-type]
        for n, length in ((1, 1000), (64, 200))
    )
    for timing in timings:
        onnx = "" if timing.exported is None else f"{timing.exported:.2f} exported, "
        print(
            f"  {timing.n:2} text{'s' if timing.n > 1 else ' '} at once: "
            f"{timing.compiled:.2f} compiled, {onnx}{timing.plain:.2f} in PyTorch "
            f"({timing.form}): {timing.speedup:.1f} times as fast"
        )
    print(_agreement(timings))
    return timings


def _agreement(timings: Sequence[Timing]) -> str:
    sites, differing, others, texts = (
        sum(getattr(timing, name) for timing in timings)
        for name in ("sites", "differing", "other_texts", "n")
    )
    if not differing and not others:
        return f"Before timing, all drew the same {sites:,} characters from the same numbers."
    return (
        f"Before timing, all drew from the same numbers: {differing} of {sites:,} characters "
        f"differ in PyTorch\nand {others} of {texts} texts in ONNX Runtime (rounding makes "
        "about one in a million differ)."
    )


def _say_what_next(options: Demo) -> None:
    again = f"genfast demo --seed {options.seed + 1} --out again"
    print(
        "\nTry next:\n"
        "  genfast train sequence book.txt --out runs/book   a text of your own, kept, resumable\n"
        "  genfast sample runs/book                          read what it writes\n"
        "  genfast export runs/book book                     its sampler as one ONNX file\n"
        f"  {again:<48}  other weights, kept in a folder\n"
        "  genfast bench                                     how fast this machine draws\n"
        "  genfast info                                      what was built, what can run here"
    )
    if options.out is not None:
        print(f"  genfast sample {options.out}/model")
