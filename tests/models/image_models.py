"""Small image models and what they are drawn under, for tests of this directory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genfast.models import PixelCNN
from genfast.program import Program, interpret

#: Conditions by name: arguments of the constructor.
CONDITIONS: dict[str, dict[str, int]] = {
    "none": {},
    "classes": {"classes": 3},
    "vector": {"vector": 2},
    "features": {"features": 3},
    "all": {"classes": 2, "vector": 1, "features": 2},
}


def model_of(shape: tuple[int, int, int] = (1, 5, 6), levels: int = 4, **options: Any) -> PixelCNN:
    """A model whose weights depend on its arguments alone, large enough to tell features apart."""
    torch.manual_seed(3)
    model = PixelCNN(shape, levels, **({"width": 5, "depth": 2} | options)).eval()
    for parameter in model.parameters():
        parameter.data *= 1.5
    return model


def images(model: PixelCNN, n: int = 2) -> Tensor:
    return torch.randint(model.levels, (n, *model.shape))


def conditions(model: PixelCNN, n: int = 2) -> dict[str, Tensor]:
    """What the model needs, at random."""
    given: dict[str, Tensor] = {}
    if model.classes is not None:
        given["classes"] = torch.randint(model.classes, (n,))
    if model.vector is not None:
        given["vector"] = torch.randn(n, model.vector)
    if model.features is not None:
        given["features"] = torch.randn(n, model.features, *model.shape[1:])
    return given


def program_scores(
    program: Program, x: Tensor, given: dict[str, Tensor], dtype: Any = np.float64
) -> tuple[Any, ...]:
    """Scores (N, H*W, P) of each draw, by the interpreter, of a program forced to draw `x`."""
    inputs = {name: value.numpy() for name, value in given.items()}
    if "features" in given:
        inputs["features"] = given["features"].flatten(2).transpose(1, 2).contiguous().numpy()
    forced = x.permute(0, 2, 3, 1).flatten(1, 2).numpy()
    uniforms = np.zeros((*forced.shape[:2], program.draws), np.float32)
    return interpret(program, len(x), uniforms, forced, inputs, dtype=dtype).scores
