"""export: check, build, verify, and only then write."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from genfast.exporting.checks import (
    check_bends,
    check_installed,
    checked_path,
    checked_stop,
    checked_top_k,
    checked_top_p,
    exportable,
    suffixes,
)
from genfast.exporting.one_pass import check_one_pass, export_one_pass
from genfast.exporting.report import Report, SamplerReport
from genfast.models.latent import LatentModel

__all__ = ["export"]


def export(
    model: Any,
    path: str | Path,
    *,
    top_k: int | str | None = None,
    top_p: float | str | None = None,
    stop: int | None = None,
    step: bool | None = None,
    uniforms: bool = False,
    progress: bool = True,
) -> Report:
    """Writes a model's whole sampler as one ONNX file, once ONNX Runtime has drawn with it rightly.

    `path` becomes a saved model that `genfast.load` reads, with `1/model.onnx` in it: seeds, and
    prompts, given pixels or labels in, samples out, on any ONNX Runtime, with neither genfast nor
    PyTorch. Each folder has a config.json that says what its graph wants.

    Beside the sampler of a model with a program stand `path_step`, one site of a sequence or one
    row of an image with its states as inputs and outputs, and on demand `path_uniforms`, whose
    random numbers are an input. Beside that of a model whose samples take one pass stand
    `path_decoder` and, where it has one, `path_encoder`; its modules may be anybody's own, as far
    as torch's exporter follows them. The options below are for models with programs.

    Args:
        model: A model with a program, such as `SequenceModel` or `PixelCNN`, that can be saved; or
            a `LatentModel`, such as `VAE` or `GAN`. One that cannot be saved, as its modules are
            not registered, is written without weights, and the report says so.
        path: The folder; made where it is missing, replaced where it holds a model.
        top_k: Keeps the k best classes in every draw; "input" makes it an input of the graph; None
            or 0 for off; off for mixtures, which have no classes.
        top_p: Keeps the best classes up to this mass; "input" likewise; None or 1 for off.
        stop: Symbol after which a row ends; None for images.
        step: Whether to write `path_step`, which is done when None.
        uniforms: Whether to write `path_uniforms`.
        progress: Whether to show what takes long, where standard error is a terminal.

    Returns:
        What was written, and how it was checked.

    Raises:
        NotCompilableError: The model does what no graph says, and what that is.
        ValueError: An argument is wrong, or the model does not fit into a file.
        FloatingPointError: A weight is not finite.
        ImportError: onnx, onnxruntime or onnxscript is not installed.
        RuntimeError: ONNX Runtime draws something else than the model; nothing has been written.
        OSError: A folder cannot be written.

    Example:
        print(genfast.export(model, "shakespeare", top_p="input"))
    """
    begin = time.monotonic() if progress else math.inf
    if isinstance(model, LatentModel):
        check_one_pass(
            model, top_k=top_k, top_p=top_p, stop=stop, step=step, uniforms=uniforms or None
        )
        return export_one_pass(model, path, begin)
    check_installed("onnx", "onnxruntime")
    folders = checked_path(path, suffixes(model, step=step is not False, uniforms=uniforms))
    k, p = checked_top_k(top_k), checked_top_p(top_p)
    program = exportable(model)
    check_bends(model.head, top_k=k, top_p=p)
    ends = checked_stop(stop, model, program)

    # Here, so that importing the package needs neither onnx nor onnxruntime.
    from genfast.exporting.folders import write
    from genfast.exporting.graphs import Options, build
    from genfast.exporting.verify import verify
    from genfast.exporting.verify_images import verify_images

    graphs = build(program, Options(k, p, ends), uniforms=uniforms)
    check = verify if program.shape is None else verify_images
    found = check(model, graphs, program.multiply_adds, begin)
    written = {folders[kind]: graphs[kind] for kind in folders}
    write(model, written)
    return SamplerReport.of(written, found)
