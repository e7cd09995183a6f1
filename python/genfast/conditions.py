"""What a model is told of every sample: a label, a vector, a map of features."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genfast.arguments import described

__all__ = ["Conditions", "check_conditions"]


class Conditions(NamedTuple):
    """What every row is drawn under; None where the model takes none.

    classes int64 (N,); vector float32 (N, V); features float32 (N, F, H, W).
    """

    classes: Tensor | None = None
    vector: Tensor | None = None
    features: Tensor | None = None

    def rows(self, rows: slice) -> Conditions:
        """These rows alone."""
        return Conditions(*(None if value is None else value[rows] for value in self))

    def to(self, device: torch.device, dtype: torch.dtype) -> Conditions:
        """On a device, real numbers in the dtype of its weights."""
        return Conditions(
            None if self.classes is None else self.classes.to(device),
            None if self.vector is None else self.vector.to(device, dtype),
            None if self.features is None else self.features.to(device, dtype),
        )

    @property
    def arguments(self) -> dict[str, Tensor]:
        """Those that are given, by the names of `forward`."""
        return {name: value for name, value in self._asdict().items() if value is not None}


def check_conditions(
    name: str,
    model: Any,
    n: int,
    classes: Tensor | None = None,
    vector: Tensor | None = None,
    features: Tensor | None = None,
) -> Conditions:
    """The conditions of `n` samples, or ValueError.

    Args:
        name: The public function, for the message.
        model: With `shape` and, for each condition, its size or None: `classes` labels, `vector`
            numbers, `features` channels.
        n: Samples.
        classes: int64 (N,) in [0, labels).
        vector: float32 (N, V), finite.
        features: float32 (N, F, H, W), finite.

    Raises:
        ValueError: One is missing, is given to a model without it, lies on another device, or has
            a wrong dtype, shape or number.
    """
    shapes = {
        "classes": ("(N,)", (n,)),
        "vector": ("(N, V)", (n, model.vector)),
        "features": ("(N, F, H, W)", (n, model.features, *model.shape[1:])),
    }
    given = Conditions(classes, vector, features)
    for argument, (axes, shape) in shapes.items():
        value = getattr(given, argument)
        if getattr(model, argument) is None:
            if value is not None:
                raise ValueError(
                    f"{name}: {argument} must be None for a model made without {argument}, "
                    f"got {described(value)}"
                )
            continue
        dtype = torch.int64 if argument == "classes" else torch.float32
        _check_tensor(f"{name}: {argument}", value, dtype, axes, shape, _device(model))
    if classes is not None:
        _check_labels(f"{name}: classes", classes, model.classes)
    for argument in ("vector", "features"):
        _check_finite(f"{name}: {argument}", getattr(given, argument))
    return given


def _device(model: Any) -> torch.device:
    device: torch.device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return device


def _check_tensor(
    name: str,
    value: Any,
    dtype: torch.dtype,
    axes: str,
    shape: tuple[int, ...],
    device: torch.device,
) -> None:
    names = axes.strip("(),").split(", ")
    sizes = ", ".join(f"{axis}={size}" for axis, size in zip(names, shape, strict=True))
    wanted = f"{str(dtype).removeprefix('torch.')} {axes} with {sizes}"
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} must be {wanted}, got {value!r:.80}")
    if value.dtype != dtype or tuple(value.shape) != shape:
        raise ValueError(f"{name} must be {wanted}, got {described(value)}")
    if value.device != device:
        raise ValueError(f"{name} must be on {device}, as the model is, got {value.device}")


def _check_labels(name: str, classes: Tensor, labels: int) -> None:
    wrong = (classes < 0) | (classes >= labels)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"{name} must be at least 0 and below {labels}, got {int(classes[row])} in row {row}"
        )


def _check_finite(name: str, value: Tensor | None) -> None:
    if value is None or bool(value.isfinite().all()):
        return
    place = tuple(int(i) for i in (~value.isfinite()).nonzero()[0])
    raise ValueError(f"{name} must be finite, got {value[place].item()} at {place}")
