"""`genfast sample`: draws from a saved or exported model, to the terminal or into a file."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from torch import Tensor

from genfast.commands.checks import check_seed, check_whole
from genfast.commands.sample_images import draws_images, write_images
from genfast.commands.sample_latent import is_one_pass
from genfast.commands.texts import Writer, encode, raw, stop_symbol
from genfast.files.atomic import write_bytes
from genfast.models.registry import load

__all__ = ["Sample", "run"]

_LENGTH = 500


@dataclass(frozen=True)
class Sample:
    """Draw from a model that was trained, saved or exported."""

    run: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RUN")]]
    """Its folder, or hf://owner/name."""
    length: int | None = None
    """Symbols to draw, characters or bytes; 500 unless told."""
    temperature: float = 1.0
    """Lower is more careful; 0 takes the likeliest symbol or level each time. Of a model that draws
    in one pass it scales the latents."""
    top_k: int | None = None
    """Draw among so many of the likeliest symbols."""
    top_p: float | None = None
    """Draw among the likeliest symbols that have this share together."""
    truncation: float | None = None
    """Draw each pair of latents inside a circle of this radius."""
    seed: int | None = None
    """The same seed draws the same samples; without it one is chosen, and told."""
    index: int = 0
    """Number of the first sample under its seed."""
    prompt: str = ""
    """What each sample begins with; it is shown, and not counted in length."""
    stop: str | None = None
    """End a sample behind this symbol."""
    num: int = 1
    """Samples to draw."""
    classes: str | None = None
    """Labels to draw images of, in turn: 0,1,2; else all that the model knows."""
    out: Path | None = None
    """A file to write, in place of the terminal: text; else FILE.npy, or FILE.png for images."""
    backend: Literal["auto", "cpu", "cuda", "reference", "onnx"] = "auto"
    """What draws; onnx is ONNX Runtime and needs an exported folder."""

    def check(self) -> None:
        """Raises ValueError for a number that is out of range; `sample` checks the others."""
        check_whole("sample", "length", self.length, 0)
        check_whole("sample", "num", self.num)
        check_seed("sample", self.seed)


def run(options: Sample) -> None:
    """Draws, and says which seed drew when none was asked for.

    Raises:
        ValueError: An option is out of range, or the folder holds no whole model.
        OSError: There is no such folder, or the file cannot be written.
    """
    options.check()
    model = load(options.run)
    seed = secrets.randbits(63) if options.seed is None else options.seed
    _check_kind(options, model)
    if draws_images(model) or is_one_pass(model):
        write_images(options, model, seed)
        return
    drawing = _Drawing.of(options, model, seed)
    if options.out is not None:
        write_bytes(options.out, drawing.file())
        noun = "sample" if options.num == 1 else "samples"
        print(f"{options.out}: {options.num} {noun} of {options.run}, seed {drawing.seed}")
        return
    drawing.show()
    if options.seed is None:
        print(f"genfast: drawn with --seed {drawing.seed}", file=sys.stderr)


def _check_kind(options: Sample, model: Any) -> None:
    """ValueError for an option that other kinds of models have."""
    wrong: Mapping[str, object]
    text = {"length": options.length, "prompt": options.prompt or None, "stop": options.stop}
    if is_one_pass(model):
        kind, wrong = "latents", text
    elif draws_images(model):
        kind, wrong = "images", {**text, "truncation": options.truncation}
    else:
        kind, wrong = "text", {"classes": options.classes, "truncation": options.truncation}
    for name, value in wrong.items():
        if value is not None:
            raise ValueError(
                f"sample: {name} is no option for a model of {kind}, got {value!r:.80}"
            )


@dataclass(frozen=True)
class _Drawing:
    """Samples to draw; sample i is the same whether it is streamed or drawn in a batch."""

    options: Sample
    model: Any
    prompt: Tensor
    stop: int | None
    seed: int

    @classmethod
    def of(cls, options: Sample, model: Any, seed: int) -> _Drawing:
        prompt = encode(model, "sample: prompt", options.prompt)
        stop = stop_symbol(model, "sample: stop", options.stop)
        return cls(options, model, prompt, stop, seed)

    def show(self) -> None:
        """Streams the samples to the terminal, one behind the other."""
        samples = self._streams() if self.options.backend != "onnx" else self._rows()
        for i, pieces in enumerate(samples):
            first = next(pieces, None)  # a wrong option is found before anything is printed
            if self.options.num > 1:
                print(self._title(i), flush=True)
            writer = Writer(self.model)
            writer.write(self.prompt)
            for piece in chain(() if first is None else (first,), pieces):
                writer.write(piece)
            writer.end()

    def file(self) -> bytes:
        """All samples as a file holds them."""
        texts = []
        for i, pieces in enumerate(self._rows()):
            text = raw(self.model.symbols, torch.cat([self.prompt, *pieces]))
            texts.append(text if self.options.num == 1 else f"{self._title(i)}\n".encode() + text)
        return b"\n".join(texts)

    @property
    def length(self) -> int:
        """Symbols to draw."""
        return _LENGTH if self.options.length is None else self.options.length

    def _title(self, i: int) -> str:
        index = self.options.index + i
        return f"--- sample {i + 1} of {self.options.num}: seed {self.seed}, index {index} ---"

    def _streams(self) -> Iterator[Iterator[Tensor]]:
        """Of every sample, its new symbols as they are drawn."""
        for i in range(self.options.num):
            sites = self.model.stream(
                1,
                **self._arguments(1) | {"index": self.options.index + i},
                backend=self.options.backend,
            )
            yield self._until_stop(islice(sites, self.length))

    def _until_stop(self, sites: Iterator[Tensor]) -> Iterator[Tensor]:
        for values in sites:
            yield values
            if self.stop is not None and int(values[0]) == self.stop:
                return

    def _rows(self) -> Iterator[Iterator[Tensor]]:
        """Of every sample, its new symbols in one piece, all drawn as one batch."""
        options = self.options
        arguments = self._arguments(options.num) | {"stop": self.stop}
        if options.backend == "onnx":
            values, lengths = _by_onnx(options, self.length, arguments)
        else:
            drawn = self.model.sample(
                options.num, self.length, **arguments, backend=options.backend
            )
            values, lengths = drawn.values, drawn.lengths
        for row, length in zip(values, lengths.tolist(), strict=True):
            yield iter((row[:length],))

    def _arguments(self, n: int) -> dict[str, Any]:
        options = self.options
        return {
            "seed": self.seed,
            "index": options.index,
            "temperature": options.temperature,
            "top_k": options.top_k,
            "top_p": options.top_p,
            "prompt": self.prompt.expand(n, -1) if len(self.prompt) else None,
        }


def _by_onnx(options: Sample, length: int, arguments: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """What the exported sampler draws: values (N, T) and lengths (N,)."""
    from genfast.runtime import Sampler

    if arguments["prompt"] is not None:
        arguments = arguments | {"prompt": arguments["prompt"].numpy()}
    drawn = Sampler(options.run).sample(options.num, length, **arguments)
    return torch.from_numpy(drawn.values), torch.from_numpy(drawn.lengths)
