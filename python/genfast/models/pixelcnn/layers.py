"""Layers of a raster program: one sum for each group of channels, in the order of drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genfast.models.arrays import Array, weight_array
from genfast.models.pixelcnn.feature_maps import Convolution, FeatureMap, rows_of_groups
from genfast.nn import Conditioning
from genfast.program import Look, Mat, Sum, Term
from genfast.program.buffers import Buffer
from genfast.program.instructions import GATES, Epilogue

__all__ = ["Condition", "Layer"]


@dataclass(frozen=True)
class Condition:
    """What conditions add to the rows of a layer.

    Args:
        module: Its weights.
        path: Of the module, for errors.
        inputs: Buffers of the conditions, by name.
    """

    module: Conditioning
    path: str
    inputs: dict[str, Buffer]

    def terms(self, outputs: NDArray[np.intp]) -> list[Term]:
        """Terms of some outputs."""
        terms: list[Term] = []
        for name, buffer in self.inputs.items():
            weight = weight_array(getattr(self.module, name), f"{self.path}.{name}", "weight")
            if name == "classes":
                # Row V stands for "outside the image", where an input never is.
                outside = np.zeros((1, len(outputs)), np.float32)
                terms.append(Look(np.concatenate([weight[:, outputs], outside]), buffer.here))
            else:
                matrix = weight.reshape(len(weight), -1)[outputs]
                terms.append(Mat(np.ascontiguousarray(matrix), buffer.here))
        return terms


@dataclass(frozen=True)
class Layer:
    """`target = epilogue(adds + conditions + convolutions)`, group by group.

    Args:
        target: What it writes.
        convolutions: Each with what it reads; their biases are added up.
        adds: Feature maps of the same groups.
        condition: What conditions add, or None.
        epilogue: As of a `Sum`.
    """

    target: FeatureMap
    convolutions: Sequence[tuple[Convolution, FeatureMap]] = ()
    adds: Sequence[FeatureMap] = ()
    condition: Condition | None = None
    epilogue: Epilogue = "none"

    def instructions(self, group: int) -> list[Sum]:
        """The sum of a group; none where no channel falls to it."""
        if group >= len(self.target.parts) or self.target.parts[group] is None:
            return []
        rows = rows_of_groups(self.target.sizes, GATES[self.epilogue])[group]
        terms = [term for added in self.adds for term in added.add(group)]
        terms += [] if self.condition is None else self.condition.terms(rows)
        for convolution, source in self.convolutions:
            terms += convolution.taps(source, group, rows)
        target = self.target.parts[group]
        assert target is not None
        return [Sum((target,), tuple(terms), self._bias(rows), self.epilogue)]

    def _bias(self, rows: NDArray[np.intp]) -> Array | None:
        """The biases of all convolutions, added up in float64 and rounded once."""
        biases = [c.bias[rows] for c, _ in self.convolutions if c.bias is not None]
        if len(biases) < 2:
            return biases[0] if biases else None
        return np.asarray(np.sum(biases, axis=0, dtype=np.float64), np.float32)
