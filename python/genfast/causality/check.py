"""check_causality: a model over sites may not see what it is to draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genfast.arguments import check_count, described
from genfast.causality.evidence import Evidence
from genfast.causality.probing import Probing, chosen_sites
from genfast.causality.report import Report
from genfast.causality.view import View
from genfast.watching import watched

__all__ = ["CausalityError", "check_causality"]

_LENGTH = 16  # sites of a sequence, unless given


class CausalityError(ValueError):
    """A score sees what is not drawn yet.

    Attributes:
        report: What was found until then; its pictures show forbidden sites in red.
    """

    def __init__(self, sentence: str, report: Report) -> None:
        super().__init__(f"check_causality: {sentence}")
        self.report = report


def check_causality(
    model: nn.Module,
    *,
    shape: tuple[int, ...] | None = None,
    levels: int | None = None,
    conditions: Mapping[str, Tensor] | None = None,
    arrange: Callable[[Tensor], Tensor] | None = None,
    probes: int = 64,
    repeats: int = 4,
    seed: int = 0,
    dtype: torch.dtype | None = torch.float64,
    progress: bool = True,
) -> Report:
    """Checks that no score of a model sees the value it is for, or a later one.

    On a copy in eval mode and random inputs, each probed site is looked at from both sides:

    - *perturbation*: one of its values is changed alone. Every score that may not see it must stay
      exactly as it was; there is no tolerance.
    - *gradients*: its scores are followed back to what the network sees: the encoded image of a
      PixelCNN, the embedded symbols of a SequenceModel, float inputs of any other model. What it
      may not see must have a gradient of exactly 0. A model of integers has no such side.

    All sites are probed where they are no more than `probes`; of a larger image corners, edges,
    their neighbours, the middle, and others at random; each against every site of the image. A
    forbidden pair anywhere starts a search, draw by draw, for the first one.

    Args:
        model: Any module from values to scores of every site. `SequenceModel` and `PixelCNN` need
            no further argument. Images come as (N, C, H, W), and their scores as (N, H, W, D, P):
            D is C where channels are drawn one after the other, 1 where at once. Sequences come as
            (N, T), or (N, T, C) with C values drawn at once, and their scores as (N, T, P).
        shape: (C, H, W), (T,) or (T, C) of the inputs; `model.shape` or 16 symbols when None.
        levels: Inputs are int64 in [0, levels); of `model.levels` or its head when None, and where
            there is neither inputs are normal floats.
        conditions: Further arguments of `forward` by name, a row a sample, repeated as needed;
            random ones, where `model.config()` has classes, vector or features, when None.
        arrange: Brings what the model gives into the order above, such as
            `lambda s: s.permute(0, 2, 3, 1)[..., None, :]` for (N, P, H, W).
        probes: At most so many sites are probed, 1 or more.
        repeats: On so many inputs each, 1 or more: a ReLU may hide a dependency on one of them.
        seed: Of inputs, changes and the choice of sites.
        dtype: Of the copy; None leaves the weights as they are, for a model that makes float32 of
            its inputs by itself.
        progress: A line on standard error, if that is a terminal, after two seconds.

    Returns:
        What each probed site sees, and its blind spot.

    Raises:
        CausalityError: Names the first pair, and holds the report.
        ValueError: An argument is wrong, or the model's scores have another shape.
        FloatingPointError: A score is NaN, or a gradient while nothing is found without them.
    """
    probes = check_count("check_causality: probes", probes, 1)
    repeats = check_count("check_causality: repeats", repeats, 1)
    if not isinstance(model, nn.Module):
        raise ValueError(f"check_causality: model must be an nn.Module, got {described(model)}")
    shape, levels = _shape(model, shape), _levels(model, levels)
    for name, rows in (conditions or {}).items():
        if not isinstance(rows, Tensor) or rows.ndim == 0 or len(rows) == 0:
            raise ValueError(
                f"check_causality: conditions must have a row, got {name} {described(rows)}"
            )
    generator = torch.Generator().manual_seed(seed)
    if conditions is None:
        conditions = _conditions(model, shape, generator)
    view = View(model, shape, levels, conditions, arrange, dtype, repeats)
    watch = partial(watched, begin=time.monotonic() if progress else float("inf"))
    probing = Probing(view, repeats, generator, watch)
    evidence = Evidence(probing.order, chosen_sites(view.sites, probes, generator))
    probing.perturb(evidence)
    methods: tuple[str, ...] = ("perturbation",)
    if probing.follow_back(evidence):
        methods += ("gradients",)
    report = Report(
        model=type(model).__name__,
        order=probing.order,
        methods=methods,
        dtype=str(view.dtype).removeprefix("torch."),
        probed=evidence.probed,
        sees=evidence.sees,
        known=evidence.known,
        first=probing.first_pair(evidence),
    )
    if report.first is not None:
        raise CausalityError(probing.order.sentence(report.first), report)
    return report


def _shape(model: Any, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """(C, H, W), (T,) or (T, C) of the inputs, or ValueError."""
    if shape is None:
        shape = getattr(model, "shape", (_LENGTH,) if hasattr(model, "rnn") else None)
    sizes = tuple(shape) if isinstance(shape, (tuple, list, torch.Size)) else ()
    if not 1 <= len(sizes) <= 3 or any(not isinstance(s, int) or s < 1 for s in sizes):
        raise ValueError(
            f"check_causality: shape must be (C, H, W), (T,) or (T, C) of positive sizes, "
            f"got {shape!r}"
        )
    return sizes


def _levels(model: Any, levels: int | None) -> int | None:
    """How many values there are, or None for floats."""
    if levels is None:
        head = getattr(model, "head", None)
        levels = getattr(model, "levels", getattr(head, "classes", None))
    return None if levels is None else check_count("check_causality: levels", levels, 2)


def _conditions(
    model: Any, shape: tuple[int, ...], generator: torch.Generator
) -> Mapping[str, Tensor]:
    """Random conditions of a model that needs some and says so in `config()`."""
    config = model.config() if hasattr(model, "config") else {}
    found: dict[str, Tensor] = {}
    if len(shape) != 3:
        return found
    rows = 2
    if config.get("classes") is not None:
        found["classes"] = torch.randint(config["classes"], (rows,), generator=generator)
    if config.get("vector") is not None:
        found["vector"] = torch.randn(rows, config["vector"], generator=generator)
    if config.get("features") is not None:
        sizes = (rows, config["features"], *shape[1:])
        found["features"] = torch.randn(sizes, generator=generator)
    return found
