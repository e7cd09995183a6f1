"""What a checkpoint must have in common with the run that goes on from it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from genfast.training.options import Options
from genfast.training.run import Run

_LIMITS = ("epochs", "steps", "seconds")


def record(
    options: Options, run: Run, held_out: object, length: int | None, processes: int
) -> dict[str, Any]:
    """Everything but the model and the data that the weights of a run depend on."""
    return {
        **asdict(options),
        "precision": run.precision.name,
        "held_out": held_out if isinstance(held_out, int | float | None) else "data of its own",
        "batches of an epoch": length,
        "processes": processes,
    }


def check_record(
    path: Path, saved: dict[str, Any], asked: dict[str, Any], history: dict[str, Any]
) -> None:
    """Raises ValueError naming an option that would end in other weights.

    A run of constant rate may be given other limits: every step of it is the same whatever
    follows, once its warm-up is over.
    """
    for name, value in asked.items():
        if saved[name] == value or (name in _LIMITS and _extensible(asked, history)):
            continue
        hint = "; only a run whose rate is constant can be extended" if name in _LIMITS else ""
        raise ValueError(
            f"fit: {name} must be {saved[name]!r} as in the run that {path} holds, got {value!r}"
            f"{hint}"
        )


def _extensible(asked: dict[str, Any], history: dict[str, Any]) -> bool:
    done = {
        "epochs": len(history["epoch_steps"]),
        "steps": history["steps"],
        "seconds": history["seconds"],
    }
    fractions = [done[name] / asked[name] for name in _LIMITS if asked[name] is not None]
    return bool(asked["schedule"] == "constant" and max(fractions) >= asked["warmup"])


def fingerprint(run: Run) -> dict[str, Any]:
    """Names, shapes and types of the weights, and which of them each group of the optimizer has."""
    model = run.state.model
    names = {id(p): name for name, p in model.named_parameters()}
    groups = run.state.optimizer.param_groups
    return {
        "weights": {name: _kind(value) for name, value in model.state_dict().items()},
        "groups": [[names.get(id(p), "") for p in group["params"]] for group in groups],
        "players": [group.get("player") for group in groups],
    }


def check_fingerprint(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises ValueError naming what differs between a checkpoint's model and this one."""
    before, after = saved["weights"], now["weights"]
    for name in {**before, **after}:
        here, there = after.get(name, "not there"), before.get(name, "not there")
        if here != there:
            raise ValueError(
                f"fit: model must be the one that {path} is of: {name} is {there} in the "
                f"checkpoint, got {here}"
            )
    alone = [None] * len(saved["groups"])  # as every run was before there were players
    for name, before_all in (("groups", saved["groups"]), ("players", saved.get("players", alone))):
        if before_all != now[name]:
            raise ValueError(
                f"fit: model must be the one that {path} is of: parameter_groups() differs"
            )


def _kind(value: object) -> str:
    shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", type(value).__name__)
    return f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"
