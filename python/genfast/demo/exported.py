"""The demo's model as files: saved, exported, verified, and opened as another program would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from genfast.models import GAN, VAE, PixelCNN, SequenceModel
from genfast.models.latent import LatentModel

if TYPE_CHECKING:
    from genfast.runtime import Sampler

__all__ = ["Exported", "export_and_open"]


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        report: What `genfast.export` says of it, for `print`.
        sampler: Its sampler in ONNX Runtime, read from the folder.
    """

    report: object
    sampler: Sampler


def export_and_open(
    model: SequenceModel | PixelCNN | VAE | GAN, folder: Path, figures: Mapping[str, float]
) -> Exported | None:
    """Saves the model in `folder/model`, exports it to `folder/sampler`, and says what came of it.

    Returns:
        None where a package that it takes is not installed, which is said too.
    """
    model.save(folder / "model", figures=dict(figures))
    one_pass = isinstance(model, LatentModel)
    for package in ("onnxruntime", "onnxscript")[: 1 + one_pass]:
        if find_spec(package) is None:
            print(f"{package} is not installed, so nothing is exported.\n")
            return None
    from genfast.exporting import export
    from genfast.runtime import Sampler

    start = perf_counter()
    report = export(model, folder / "sampler")
    seconds = perf_counter() - start
    what = "the sampler and its parts as ONNX" if one_pass else "the whole sampler as one ONNX file"
    print(f"Exported {what} in {seconds:.1f} s:\n{report}\n")
    return Exported(report, Sampler(folder / "sampler"))
