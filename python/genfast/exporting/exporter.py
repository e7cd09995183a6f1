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
)
from genfast.exporting.report import Report

__all__ = ["export"]


def export(
    model: Any,
    path: str | Path,
    *,
    top_k: int | str | None = None,
    top_p: float | str | None = None,
    stop: int | None = None,
    step: bool = True,
    uniforms: bool = False,
    progress: bool = True,
) -> Report:
    """Writes a model's whole sampler as one ONNX file, once ONNX Runtime has drawn with it rightly.

    `path` becomes a saved model that `genfast.load` reads, with `1/model.onnx` in it: seeds, and
    prompts or given pixels in, samples out, on any ONNX Runtime, with neither genfast nor PyTorch.
    Beside it stand `path_step`, one site of a sequence or one row of an image with its states as
    inputs and outputs, and on demand `path_uniforms`, whose random numbers are an input. Each has a
    config.json that says what its graph wants.

    Args:
        model: A model with a program, such as `SequenceModel` or `PixelCNN`, that can be saved.
        path: The folder; made where it is missing, replaced where it holds a model.
        top_k: Keeps the k best classes in every draw; "input" makes it an input of the graph; None
            or 0 for off; off for mixtures, which have no classes.
        top_p: Keeps the best classes up to this mass; "input" likewise; None or 1 for off.
        stop: Symbol after which a row ends; None for images.
        step: Whether to write `path_step`.
        uniforms: Whether to write `path_uniforms`.
        progress: Whether to show what takes long, where standard error is a terminal.

    Returns:
        What was written, and how it was checked.

    Raises:
        NotCompilableError: The model does what no graph says, and what that is.
        ValueError: An argument is wrong, or the model does not fit into a file.
        FloatingPointError: A weight is not finite.
        ImportError: onnx or onnxruntime is not installed.
        RuntimeError: ONNX Runtime draws something else than the model; nothing has been written.
        OSError: A folder cannot be written.

    Example:
        print(genfast.export(model, "shakespeare", top_p="input"))
    """
    begin = time.monotonic() if progress else math.inf
    check_installed()
    suffixes = {"sampler": "", "uniforms": "_uniforms", "step": "_step"}
    wanted = {"sampler": True, "uniforms": uniforms, "step": step}
    folders = checked_path(path, {kind: suffixes[kind] for kind in suffixes if wanted[kind]})
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
    write(model, {folders[kind]: graphs[kind] for kind in folders})
    return Report.of({folders[kind]: graphs[kind] for kind in folders}, found)
