"""Decoders as contenders: exported, in ONNX Runtime; and in PyTorch, eager and compiled.

The job is one for all: latents (batch, L) go in, samples come out. Beside it stand whole draws,
from a seed, of the exported sampler and of the model itself.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import genfast
from bench.onnx_site import open_session
from bench.task import Array
from genfast.models.latent import LatentModel

THREADS = (1, 2)
EXPORTED, EAGER, COMPILED = "exported", "eager", "compiled"
SEEDED, SAMPLE = "exported, from a seed", "model.sample"
SEED = 0


@dataclass(frozen=True)
class Task:
    """A model of `MODELS`, and how many latents are decoded at a time."""

    model: str
    batch: int

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.model} batch {self.batch}"


@dataclass
class Contender:
    """Somebody who decodes.

    Args:
        kind: who it is compared with.
        form: which way of writing it.
        threads: how many it uses.
        run: one batch.
    """

    kind: str
    form: str
    threads: int
    run: Callable[[], Any]

    @property
    def key(self) -> str:
        """Its name in results."""
        return f"{self.kind} | {self.form} | {self.threads}"

    def __call__(self) -> Any:
        return self.run()

    def select(self) -> None:
        """Called before a measurement: PyTorch's threads belong to the whole process."""
        torch.set_num_threads(self.threads)


class _Bare(nn.Module):
    """What a user would call who decodes in plain PyTorch: the network, and what ends it."""

    def __init__(self, network: nn.Module, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.end = network, end

    def forward(self, z: Tensor) -> Tensor:
        return self.end(self.network(z))


@dataclass(frozen=True)
class Side:
    """A model with trained-like weights, its plain form, and its exported graphs."""

    model: LatentModel
    plain: nn.Module
    decoder: bytes
    sampler: bytes
    multiply_adds: int

    @classmethod
    def of(cls, name: str) -> Side:
        """The model of `MODELS`, exported, which verifies it."""
        torch.manual_seed(0)
        model, plain = MODELS[name]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        model.eval(), plain.eval()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "one_pass"
            genfast.export(model, path)
            graphs = [
                (at / "1" / "model.onnx").read_bytes()
                for at in (path.with_name("one_pass_decoder"), path)
            ]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            plain(torch.zeros(1, model.latent))
        return cls(model, plain, *graphs, counter.get_total_flops() // 2)

    def latents(self, batch: int) -> Tensor:
        """Those of the seed."""
        return genfast.random.normals(SEED, batch, self.model.latent)


def contenders(side: Side, batch: int) -> Iterator[Contender]:
    """Everybody but what is compiled."""
    z = side.latents(batch)
    for threads in THREADS:
        yield Contender(EXPORTED, "decoder", threads, _onnx(side.decoder, threads, z=z.numpy()))
        yield Contender(SEEDED, "sampler", threads, _onnx(side.sampler, threads, **_seeds(batch)))
        yield Contender(SAMPLE, "eager", threads, lambda: side.model.sample(batch, seed=SEED))
        for layout in layouts(side.plain):
            yield Contender(EAGER, layout, threads, _eager(laid_out(side.plain, layout), z))


def compiled(side: Side, batch: int, layout: str, threads: int) -> Contender:
    """The plain form in one layout, its weights frozen into the code."""
    torch.set_num_threads(threads)
    torch.compiler.reset()
    module = torch.compile(laid_out(side.plain, layout), dynamic=False)
    contender = Contender(
        COMPILED, f"{layout}, frozen", threads, _eager(module, side.latents(batch))
    )
    with torch._inductor.config.patch(freezing=True):
        contender()
    return contender


def layouts(module: nn.Module) -> tuple[str, ...]:
    """Those that make a difference."""
    convolves = any(isinstance(part, nn.Conv2d | nn.ConvTranspose2d) for part in module.modules())
    return ("nchw", "channels_last") if convolves else ("nchw",)


def laid_out(module: nn.Module, layout: str) -> nn.Module:
    """A copy with weights in a layout."""
    copied = copy.deepcopy(module)
    return copied.to(memory_format=torch.channels_last) if layout == "channels_last" else copied


def _eager(module: Any, z: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            made: Tensor = module(z)
            return made

    return run


def _onnx(graph: bytes, threads: int, **fed: Array) -> Callable[[], Array]:
    session = open_session(graph, threads)

    def run() -> Array:
        values: Array = session.run(["values"], fed)[0]
        return values

    return run


def _seeds(batch: int) -> dict[str, Any]:
    ones = np.ones((batch, 1), np.float32)
    return {
        "seed": np.full((batch, 1), SEED),
        "index": np.arange(batch)[:, None],
        "temperature": ones,
        "truncation": np.full_like(ones, np.inf),
    }


def _vae(architecture: Any) -> tuple[LatentModel, nn.Module]:
    model = genfast.VAE((1, 28, 28), 2, latent=16, architecture=architecture)
    return model, _Bare(model.decoder, torch.sigmoid)


def _dcgan(width: int = 64) -> tuple[LatentModel, nn.Module]:
    model = genfast.GAN((1, 28, 28), 256, latent=64, architecture="dcgan", width=width)
    return model, _Bare(model.generator, lambda image: (image + 1) / 2)


#: Makes each model, and its plain form.
MODELS: dict[str, Callable[[], tuple[LatentModel, nn.Module]]] = {
    "VAE, mlp 2x256": lambda: _vae("mlp"),
    "VAE, convolutional 32": lambda: _vae("convolutional"),
    "GAN, DCGAN 64": _dcgan,
}
