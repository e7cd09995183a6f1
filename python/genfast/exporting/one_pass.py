"""Export of models whose samples take one pass: their modules as they are, latents made inside.

::

    decode, encode -> tracing -> folding ------------------> decoder, encoder --.
                                    '-> behind the latents -> sampler ----------- verify -> folders
    seed, index -> words -> latents ----------^
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genfast.exporting.checks import check_fits_file, check_installed, checked_path, suffixes
from genfast.exporting.report import OnePassReport
from genfast.models.latent import LatentModel

__all__ = ["check_one_pass", "export_one_pass"]


def check_one_pass(model: LatentModel, **options: Any) -> None:
    """ValueError for an option that no draw of one pass has; None and step=False are none."""
    for name, value in options.items():
        if value is not None and (name, value) != ("step", False):
            raise ValueError(
                f"export: {name} must be left out for a {type(model).__name__}, whose samples take "
                f"one pass, got {value!r:.80}"
            )


def export_one_pass(model: LatentModel, path: str | Path, begin: float) -> OnePassReport:
    """Writes sampler, decoder, and encoder where there is one; see `genfast.export`.

    A model whose latents have no distribution has no sampler: its decoder takes the place.

    Args:
        model: What is exported.
        path: The first folder.
        begin: When the export began, which decides when a line of progress appears.
    """
    check_installed("onnx", "onnxruntime", "onnxscript")
    folders = checked_path(path, suffixes(model))
    _check_weights(model)
    unsaved, folder = _why_unsaved(model), next(iter(folders.values()))
    if unsaved is not None and (folder / "model.safetensors").exists():
        raise ValueError(
            f"export: {folder} holds a saved model, which a {type(model).__name__} "
            f"cannot replace: {unsaved}; name another folder"
        )

    # Here, so that importing the package needs neither onnx nor onnxruntime.
    from genfast.exporting.folders import write
    from genfast.exporting.one_pass_graphs import build
    from genfast.exporting.one_pass_verify import verify

    graphs = build(model)
    numbers, error = verify(model, graphs, begin)
    written = {folders[kind]: graphs[kind] for kind in folders}
    write(model, written, saved=unsaved is None)
    return OnePassReport.of(written, numbers, error, unsaved)


def _check_weights(model: LatentModel) -> None:
    """FloatingPointError naming a weight that is not finite, ValueError for too many bytes."""
    tensors = model.state_dict()
    for name, tensor in tensors.items():
        wrong = ~tensor.isfinite()
        if wrong.any():
            place = tuple(int(i) for i in wrong.nonzero()[0])
            raise FloatingPointError(f"export: {name} is {tensor[place].item()} at {place}")
    check_fits_file(type(model).__name__, sum(4 * tensor.numel() for tensor in tensors.values()))


def _why_unsaved(model: LatentModel) -> str | None:
    """Why `genfast.save` refuses a model, None where it does not."""
    kind, config = type(model), getattr(model, "config", None)
    if config is None or not hasattr(kind, "from_config"):
        return f"{kind.__name__} has no config() and from_config"
    try:
        config()
    except ValueError as refusal:
        return str(refusal)
    return None
