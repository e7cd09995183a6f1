"""What cannot be exported, said in one line before anything is built or written."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genfast.compiled import NotCompilableError, compiled
from genfast.heads import Categorical, LogisticMixture
from genfast.models.latent import LatentModel
from genfast.program import Draw, Look, Program, Sum
from genfast.program.cost import weights
from genfast.program.dead import drop_dead
from genfast.program.hoist import hoist
from genfast.program.phases import schedule

__all__ = [
    "check_bends",
    "check_fits_file",
    "check_installed",
    "checked_path",
    "checked_stop",
    "checked_top_k",
    "checked_top_p",
    "exportable",
    "suffixes",
]

# A protobuf ends at 2 GiB; some of that is for everything but weights.
_MOST_BYTES = 2**31 - 2**24


def check_installed(*packages: str) -> None:
    """ImportError unless these are there."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"export: needs {' and '.join(missing)}, not installed here; "
            f"pip install {' '.join(missing)}"
        )


def suffixes(model: Any, *, step: bool = False, uniforms: bool = False) -> dict[str, str]:
    """What stands behind the name of each folder that an export of a model has, by its graph."""
    if isinstance(model, LatentModel):
        encoder = {"encoder": "_encoder"} if hasattr(model, "encode") else {}
        if not model.has_prior:
            return {"decoder": "", **encoder}
        return {"one_pass": "", "decoder": "_decoder", **encoder}
    wanted = {"sampler": True, "uniforms": uniforms, "step": step}
    ends = {"sampler": "", "uniforms": "_uniforms", "step": "_step"}
    return {kind: end for kind, end in ends.items() if wanted[kind]}


def checked_path(path: str | Path, suffixes: dict[str, str]) -> dict[str, Path]:
    """The folder of each suffix, free or a folder already.

    Raises:
        ValueError: The path has no name of its own.
        NotADirectoryError: A file stands in the way.
    """
    if not isinstance(path, str | os.PathLike) or Path(path).name in ("", ".."):
        raise ValueError(f"export: path must end in the name of a folder, got {path!r:.80}")
    folder = Path(path)
    folders = {kind: folder.with_name(folder.name + end) for kind, end in suffixes.items()}
    for one in folders.values():
        if one.exists() and not one.is_dir():
            raise NotADirectoryError(f"export: path must be a folder, {one} is a file")
    return folders


def exportable(model: Any) -> Program:
    """The optimised program of a model, which says all that the model does.

    Of images without folded tables: a product of a real pixel is one node for all of its taps, and
    a look-up and a sum a node for each.

    Raises:
        NotCompilableError: It does not, or the graphs cannot say it.
        ValueError: It would not fit into a file.
        FloatingPointError: A weight is not finite.
    """
    name, head = type(model).__name__, getattr(model, "head", None)
    if head is not None and not isinstance(head, Categorical | LogisticMixture):
        raise NotCompilableError(
            f"export: {name} cannot be exported: its head is a {type(head).__name__}, which is not "
            "exported yet"
        )
    try:
        program = compiled(model).program
    except NotCompilableError as reason:
        raise NotCompilableError(f"export: {name} cannot be exported: {reason}") from reason
    refusal = _refusal(program)
    if refusal:
        raise NotCompilableError(f"export: {name} cannot be exported: {refusal}")
    check_fits_file(name, sum(a.nbytes for i in program.instructions for a in weights(i)))
    return program if program.shape is None else _unfolded(model.program())


def check_fits_file(name: str, size: int) -> None:
    """ValueError where so many bytes of weights are too many for one file."""
    if size > _MOST_BYTES:
        raise ValueError(
            f"export: {name} has {size:,} bytes of weights, an ONNX file holds {_MOST_BYTES:,}"
        )


def _unfolded(program: Program) -> Program:
    """What `Program.optimized` gives, but for its folded tables."""
    return drop_dead(schedule(hoist(schedule(program))))


def _refusal(program: Program) -> str:
    """What the graphs cannot say of a program, or nothing."""
    draws = [i for i in program.instructions if isinstance(i, Draw)]
    return _of_images(draws) if program.order == "raster" else _of_sequences(program, draws)


def _of_images(draws: Sequence[Draw]) -> str:
    if len({target.vocabulary for draw in draws for target in draw.targets}) > 1:
        return "its channels have differing numbers of levels"
    alike = len({(draw.head, len(draw.targets)) for draw in draws}) == 1
    return "" if alike else "the draws of a pixel have differing heads"


def _of_sequences(program: Program, draws: Sequence[Draw]) -> str:
    other = next((draw.head for draw in draws if draw.head != "categorical"), None)
    if other is not None:
        return f"its program draws from a {other}; of a sequence no other than categorical is yet"
    if program.inputs:
        return f"its program has the input {program.inputs[0].target.name}; none is exported yet"
    if len(draws) != 1:
        return f"its program draws {len(draws)} symbols a site; only one is exported yet"
    for instruction in program.instructions:
        for term in instruction.terms if isinstance(instruction, Sum) else ():
            if isinstance(term, Look) and term.ref.dx < -1:
                return f"its program looks up {term.ref}; only the last symbol is exported yet"
    return ""


def checked_top_k(value: Any) -> int | str | None:
    """At least 1, "input", or None, which 0 becomes."""
    if value is None or value == "input":
        return None if value is None else "input"
    return _whole("top_k", value, None) or None


def checked_top_p(value: Any) -> float | str | None:
    """In (0, 1), "input", or None, which 1 becomes."""
    if value is None or value == "input":
        return None if value is None else "input"
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= 1:
        raise ValueError(f"export: top_p must be in (0, 1], 'input' or None, got {value!r}")
    return None if number == 1 else number


def check_bends(head: Any, **kept: Any) -> None:
    """ValueError for top-k or top-p where the head has no classes to keep."""
    for name, value in kept.items():
        if value is not None and not isinstance(head, Categorical):
            raise ValueError(f"export: {name} must be off for the head {head}, got {value!r}")


def checked_stop(value: Any, model: Any, program: Program) -> int | None:
    """A symbol, or None."""
    if value is None:
        return None
    if program.shape is not None:
        raise ValueError(f"export: stop must be None for images, got {value!r}")
    return _whole("stop", value, model.head.classes)


def _whole(name: str, value: Any, limit: int | None) -> int:
    wanted = "at least 0" if limit is None else f"at least 0 and below {limit}"
    others = "'input' or None" if limit is None else "or None"
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or (limit is not None and number >= limit):
        raise ValueError(f"export: {name} must be {wanted}, {others}, got {value!r}")
    return number
