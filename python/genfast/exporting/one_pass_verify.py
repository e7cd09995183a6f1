"""Whether ONNX Runtime gives what a model of one pass gives, before anything is written."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genfast.exporting.one_pass_graphs import OnePassGraph
from genfast.exporting.runs import open_session
from genfast.exporting.verify import WATCHED, cycle
from genfast.models.latent import LatentModel
from genfast.random import INDEX_LIMIT, fold, normals
from genfast.watching import watched

__all__ = ["MOST", "verify"]

#: Largest error, a share of the numbers' scale where that is above 1.
MOST = 1e-4
_BATCHES = (1, 7)

_Fed = dict[str, Tensor]


def verify(model: LatentModel, graphs: dict[str, OnePassGraph], begin: float) -> tuple[int, float]:
    """Runs every graph on a plain row and on a batch of mixed ones.

    The model computes in float32, as the graphs do, whatever its weights are.

    Args:
        model: What was exported.
        graphs: All graphs, by their kind.
        begin: When the export began, which decides when a line of progress appears.

    Returns:
        How many numbers were compared, and the largest error.

    Raises:
        RuntimeError: Naming the graph, place and numbers, where one gives something else.
    """
    compared, errors = 0, [0.0]
    session: Any = None
    still = copy.deepcopy(model).eval().float()
    numbered = list(product(graphs.values(), enumerate(_BATCHES)))
    for graph, (number, n) in watched(numbered, WATCHED, begin):
        if number == 0:
            session = open_session(graph)
        with torch.no_grad():
            fed, own = _ASKED[graph.kind](still, number, n)
        columns = {
            name: value[:, None] if value.ndim == 1 else value for name, value in fed.items()
        }
        made = session.run(graph.outputs, {name: v.cpu().numpy() for name, v in columns.items()})
        for found, wanted in zip(made, own, strict=True):
            errors.append(_error(graph.kind, found, wanted.float().cpu().numpy()))
            compared += found.size
    return compared, max(errors)


def _error(kind: str, found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest error of a graph's output."""
    said = f"export: ONNX Runtime gives from the {kind} graph what the model does not"
    if found.shape != wanted.shape:
        raise RuntimeError(f"{said}: {found.shape}, not {wanted.shape}; nothing was written")
    errors = np.abs(found - wanted) / max(1.0, float(np.abs(wanted).max(initial=0.0)))
    right = errors <= MOST
    if not right.all():
        place = tuple(int(i) for i in np.argwhere(~right)[0])
        raise RuntimeError(
            f"{said}: {found[place]:.6g}, not {wanted[place]:.6g} at {place}; nothing was written"
        )
    return float(errors.max(initial=0.0))


def _draws(model: LatentModel, number: int, n: int) -> tuple[_Fed, Iterable[Tensor]]:
    """Samples: rows that differ in everything that may differ; the first is plain."""
    fed = {
        **_random(number, n),
        **_labels(model, number, n),
        "temperature": cycle(n, 1.0, 0.8, 0.0, 1.5),
        "truncation": cycle(n, math.inf, 2.0, math.inf, 0.25),
    }
    own = _on_device(model, fed)
    return fed, [model.sample(n, **own | {name: fed[name] for name in ("seed", "index")})]


def _decoded(model: LatentModel, number: int, n: int) -> tuple[_Fed, Iterable[Tensor]]:
    fed = {"z": normals(**_random(number, n), n=n, draws=model.latent), **_labels(model, number, n)}
    return fed, [model.decode(**_on_device(model, fed))]


def _encoded(model: LatentModel, number: int, n: int) -> tuple[_Fed, Iterable[Tensor]]:
    generator = torch.Generator().manual_seed(number)
    if model.levels is None:
        x = torch.randn(n, *model.shape, generator=generator)
    else:
        x = torch.randint(model.levels, (n, *model.shape), generator=generator)
        x = x.float() / (model.levels - 1)
    fed = {"x": x, **_labels(model, number, n)}
    encode: Any = model.encode
    made = encode(**_on_device(model, fed))
    return fed, made if isinstance(made, tuple) else [made]


def _random(number: int, n: int) -> dict[str, Any]:
    index = torch.arange(n) * 1_000_003 + number * (INDEX_LIMIT - 1)
    seeds = [fold(number, "verify", row) for row in range(n)]
    return {"seed": torch.tensor(seeds), "index": index % INDEX_LIMIT}


def _labels(model: LatentModel, number: int, n: int) -> _Fed:
    if model.classes is None:
        return {}
    return {"classes": (torch.arange(n) + number) % model.classes}


def _on_device(model: LatentModel, fed: _Fed) -> dict[str, Any]:
    device = next(model.parameters()).device
    return {name: value.to(device) for name, value in fed.items()}


_ASKED: dict[str, Callable[[LatentModel, int, int], tuple[_Fed, Iterable[Tensor]]]] = {
    "one_pass": _draws,
    "decoder": _decoded,
    "encoder": _encoded,
}
