"""What every exported graph has: its model, its file, the names of what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from genfast.exporting.nodes import OPSET

__all__ = ["OnnxGraph"]


@dataclass(frozen=True)
class OnnxGraph:
    """One graph.

    Args:
        kind: What it is, such as "sampler".
        model: The `onnx.ModelProto`.
    """

    kind: str
    model: Any

    @cached_property
    def data(self) -> bytes:
        """The file."""
        data: bytes = self.model.SerializeToString()
        return data

    @property
    def opset(self) -> int:
        """Of the standard operators."""
        return OPSET

    @property
    def inputs(self) -> list[str]:
        """Their names."""
        return [value.name for value in self.model.graph.input]

    @property
    def outputs(self) -> list[str]:
        """Their names."""
        return [value.name for value in self.model.graph.output]

    def config(self, model: Any) -> dict[str, Any]:
        """What config.json says of graphs of this class alone.

        Args:
            model: What was exported.
        """
        raise NotImplementedError
