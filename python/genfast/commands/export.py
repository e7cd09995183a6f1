"""`genfast export`: one ONNX file that holds the whole sampler of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from genfast.commands.checks import check_free
from genfast.commands.sample_images import draws_images
from genfast.commands.texts import stop_symbol
from genfast.models.latent import LatentModel
from genfast.models.registry import load

__all__ = ["Export", "run"]


@dataclass(frozen=True)
class Export:
    """Write a model's whole sampler as one ONNX file, in a folder, and check what it draws.

    Of a VAE or a GAN NAME_decoder and NAME_encoder stand beside it, and no option applies."""

    run: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RUN")]]
    """Folder of the model, or hf://owner/name."""
    name: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="NAME")]]
    """Folder to write; NAME_step and NAME_uniforms stand beside it."""
    top_k: int | Literal["input"] | None = None
    """Keep so many of the likeliest symbols; "input" asks for it with every draw."""
    top_p: float | Literal["input"] | None = None
    """Keep the likeliest symbols that have this share; "input" asks for it with every draw."""
    stop: str | None = None
    """End a sample behind this symbol."""
    step: bool = True
    """Write NAME_step, which draws one symbol at a time."""
    uniforms: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write NAME_uniforms, which takes its random numbers as an input."""

    def folders(self, model: Any) -> list[Path]:
        """Every folder that is written."""
        from genfast.exporting.checks import suffixes

        ends = suffixes(model, step=self.step, uniforms=self.uniforms)
        return [self.name.with_name(f"{self.name.name}{end}") for end in ends.values()]


def run(options: Export) -> None:
    """Exports and prints the report.

    Raises:
        ValueError: An option is wrong, or the model cannot be exported.
        OSError: A folder is missing, is there already, or cannot be written.
    """
    from genfast.exporting import export  # with onnx, which the other commands do without

    check_free("export", [options.name])
    model = load(options.run)
    check_free("export", options.folders(model))
    if isinstance(model, LatentModel):
        print(export(model, options.name, **_given(options)))
        return
    if options.stop is not None and draws_images(model):
        raise ValueError("export: stop is no option for a model of images")
    report = export(
        model,
        options.name,
        top_k=options.top_k,
        top_p=options.top_p,
        stop=stop_symbol(model, "export: stop", options.stop),
        step=options.step,
        uniforms=options.uniforms,
    )
    print(report)


def _given(options: Export) -> dict[str, Any]:
    """Options as they were given, for `export` to refuse; the step graph is one by default."""
    return {name: getattr(options, name) for name in ("top_k", "top_p", "stop", "uniforms")}
