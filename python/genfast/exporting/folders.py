"""An export's folders: the sampler's is the saved model's, the others stand beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from genfast import files
from genfast.exporting.graphs import Graph

__all__ = ["write"]

_FORMAT = 1
_CONFIG, _MODEL = "config.json", "1/model.onnx"


def write(model: Any, graphs: Mapping[Path, Graph]) -> None:
    """Writes every folder.

    All files lie on the disk before a name changes. A graph beside the sampler's has no config.json
    while names change, so that after a kill nobody draws with an old one beside a new sampler.

    Args:
        model: What was exported.
        graphs: Each by its folder, the sampler's first.

    Raises:
        ValueError: The model cannot be saved; nothing has been written.
        OSError: A folder cannot be written; what was there is there still.
    """
    (folder, sampler), *beside = graphs.items()
    step = next((path.name for path, graph in beside if graph.kind == "step"), None)
    with ExitStack() as stack:
        for path, graph in beside:
            (path / _MODEL).parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"sampler": _section(model, graph)}, indent=2, ensure_ascii=False)
            stack.enter_context(files.replacing(path / _CONFIG)).write(f"{text}\n".encode())
            stack.enter_context(files.replacing(path / _MODEL)).write(graph.data)
        for path, _ in beside:
            stack.enter_context(_set_aside(path / _CONFIG))
        section = {**_section(model, sampler), "step": step}
        files.save(model, folder, extra={"sampler": section}, others={_MODEL: sampler.data})


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


def _section(model: Any, graph: Graph) -> dict[str, Any]:
    """What config.json says of a graph."""
    symbols = getattr(model, "symbols", None)
    images = ("shape", "parts", "draws", "conditions") if graph.shape else ()
    return {
        "format": _FORMAT,
        "graph": graph.kind,
        "classes": graph.classes,
        "symbols": None if symbols is None else symbols.config(),
        **{name: getattr(graph, name) for name in images},
        "opset": graph.opset,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "top_k": graph.options.top_k,
        "top_p": graph.options.top_p,
        "stop": graph.options.stop,
        **({"states": [state.config for state in graph.states]} if graph.kind == "step" else {}),
        "sha256": hashlib.sha256(graph.data).hexdigest(),
    }
