"""An export's folders: the sampler's is the saved model's, the others stand beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from genfast import files
from genfast.exporting.onnx_graph import OnnxGraph

__all__ = ["write"]

_FORMAT = 1
_CONFIG, _MODEL = "config.json", "1/model.onnx"


def write(model: Any, graphs: Mapping[Path, OnnxGraph], *, saved: bool = True) -> None:
    """Writes every folder.

    All files lie on the disk before a name changes. A graph beside the sampler's has no config.json
    while names change, so that after a kill nobody draws with an old one beside a new sampler.

    Args:
        model: What was exported.
        graphs: Each by its folder, the sampler's first.
        saved: Whether the sampler's folder is to be a saved model, too; else it has a graph and a
            config.json as all others have.

    Raises:
        ValueError: The model cannot be saved; nothing has been written.
        OSError: A folder cannot be written; what was there is there still.
    """
    sections = {path: _section(model, graph) for path, graph in graphs.items()}
    folder, sampler = next(iter(graphs.items()))
    step = next((path.name for path, graph in graphs.items() if graph.kind == "step"), None)
    if sampler.kind == "sampler":
        sections[folder]["step"] = step
    beside = [path for path in graphs if path != folder or not saved]
    with ExitStack() as stack:
        for path in beside:
            (path / _MODEL).parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"sampler": sections[path]}, indent=2, ensure_ascii=False)
            stack.enter_context(files.replacing(path / _CONFIG)).write(f"{text}\n".encode())
            stack.enter_context(files.replacing(path / _MODEL)).write(graphs[path].data)
        for path in beside:
            stack.enter_context(_set_aside(path / _CONFIG))
        if saved:
            extra, others = {"sampler": sections[folder]}, {_MODEL: sampler.data}
            files.save(model, folder, extra=extra, others=others)


@contextmanager
def _set_aside(path: Path) -> Iterator[None]:
    """Takes a file away, and brings it back if what follows fails."""
    aside = path.with_name(f".{path.name}.aside")
    with suppress(FileNotFoundError):
        path.replace(aside)
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            aside.replace(path)
        raise
    aside.unlink(missing_ok=True)


def _section(model: Any, graph: OnnxGraph) -> dict[str, Any]:
    """What config.json says of a graph."""
    return {
        "format": _FORMAT,
        "graph": graph.kind,
        **graph.config(model),
        "opset": graph.opset,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "sha256": hashlib.sha256(graph.data).hexdigest(),
    }
