"""A session of an exported graph, whose inputs and outputs are those that config.json names."""

from __future__ import annotations

from typing import Any

from genfast.runtime.engine import open_session
from genfast.runtime.folder import ONE_PASS, Exported

__all__ = ["OPTIONS", "open_graph"]

#: What bends a draw, of every graph that has it.
OPTIONS = {"temperature", "top_k", "top_p"}

# What each graph may be given besides; it names those that it has.
_GIVEN = {
    "sampler": {"seed", "index"},
    "uniforms": {"uniforms"},
    "step": {"uniform"},
    "one_pass": {"seed", "index", "temperature", "truncation"},
    "decoder": {"z"},
    "encoder": {"x"},
}
_SEQUENCE = {"length", "prompt", "prompt_length"}


def open_graph(exported: Exported, *engine: Any) -> Any:
    """An `onnxruntime.InferenceSession`.

    Args:
        exported: What config.json says of the graph.
        engine: Device, providers and threads, as of `Sampler`.

    Raises:
        ValueError: The graph is not what was exported, or does not run; one line says why.
    """
    session = open_session(exported.model(), str(exported.model_path), *engine)
    known = _known(exported)
    for kind, named, there in (
        ("inputs", exported.inputs, session.get_inputs()),
        ("outputs", exported.outputs, session.get_outputs()),
    ):
        found = sorted(value.name for value in there)
        if found != sorted(named) or (kind == "inputs" and not set(named) <= known):
            raise ValueError(
                f"Sampler: {exported.model_path} has {kind} {found}, config.json says "
                f"{sorted(named)}"
            )
    return session


def _known(exported: Exported) -> set[str]:
    """Names that an input may have."""
    known = _GIVEN[exported.graph] | {*exported.conditions}
    if exported.graph in ONE_PASS:
        return known
    known |= OPTIONS
    if exported.shape is not None:
        known |= {"given"}
    elif exported.graph != "step":
        known |= _SEQUENCE
    if exported.graph == "step":
        known |= {state.name for state in exported.states}
        known |= set() if exported.shape else {"symbol"}
    return known
