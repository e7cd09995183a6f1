"""The pre-activations of a sum: its bias and terms, one translation a kind of term."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from genfast.program import Add, Look, Mat
from genfast.program.instructions import Array, Term

if TYPE_CHECKING:
    from genfast.exporting.place import Place

__all__ = ["WHOLE", "Columns", "chain", "numbers"]

#: Which columns of a sum are asked for, in this order; `WHOLE` for all.
Columns = tuple[range, ...]
WHOLE: Columns = ()

# A value's name; or a bias that is no value yet; or nothing so far.
_Running = str | Array | None


def chain(
    place: Place, terms: Sequence[Term], bias: Array | None, columns: Columns, name: str
) -> str:
    """Some columns of `bias + terms`, float32 (N, width).

    Tables come first and take up the bias; then one product of all that is multiplied starts from
    what is there. So a recurrent layer over symbols is a row looked up and one Gemm.
    """
    running: _Running = None if bias is None else _of(bias, columns)
    for kind, translate in _TERMS.items():
        own = [term for term in terms if isinstance(term, kind)]
        if own:
            running = translate(place, own, columns, running, name)
    assert running is not None
    return running if isinstance(running, str) else place.rows(running[None])


def _looks(
    place: Place, looks: Sequence[Look], columns: Columns, running: _Running, name: str
) -> str:
    rows: list[str] = []
    for look in looks:
        bias = running if not rows and isinstance(running, np.ndarray) else None
        table = _table(look, columns, bias)
        rows.append(place.look(look.ref, table, (look, columns), name))
    return place.sum(rows)


def _table(look: Look, columns: Columns, bias: Array | None) -> Callable[[slice], Array]:
    """Gives rows of a table with a bias added, so that a large one is made when it is written."""

    def rows(wanted: slice) -> Array:
        part = _of(look.table[wanted], columns)
        return part if bias is None else part + bias

    return rows


def _adds(place: Place, adds: Sequence[Add], columns: Columns, running: _Running, name: str) -> str:
    values = [] if running is None else [_value(place, running)]
    for add in adds:
        values.append(place.part(add.ref, columns))
    return place.sum(values)


def _mats(place: Place, mats: Sequence[Mat], columns: Columns, running: _Running, name: str) -> str:
    read = "+".join(mat.ref.buffer.name for mat in mats)
    weight = place.nodes.weight(
        (*mats, columns),
        lambda: np.concatenate([_of(mat.weight.T, columns) for mat in mats]),
        f"{name}.{read}",
    )
    start = [] if running is None else [_value(place, running)]
    joined = place.joined([mat.ref for mat in mats])
    return place.nodes.add("Gemm", joined, weight, *start, name=name)


# In the order in which a chain takes them.
_TERMS: dict[type[Term], Callable[..., str]] = {Look: _looks, Add: _adds, Mat: _mats}


def _of(array: Array, columns: Columns) -> Array:
    """These columns of the last axis."""
    return array[..., numbers(columns)] if columns else array


def numbers(columns: Columns) -> Any:
    """These columns one by one."""
    return np.concatenate([np.arange(block.start, block.stop) for block in columns])


def _value(place: Place, running: str | Array) -> str:
    return running if isinstance(running, str) else place.nodes.constant(running, name="bias")
