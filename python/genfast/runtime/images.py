"""Arguments of a draw of images, checked: conditions and given pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.runtime.folder import Exported
from genfast.runtime.rows import whole_rows

__all__ = ["conditions", "given_levels", "refuse"]

Integers = NDArray[np.int64]


def refuse(exported: Exported, **arguments: Any) -> None:
    """ValueError for an argument that is not for what was exported.

    Args:
        exported: A sampler of sequences, of images or of one pass.
        arguments: None where they are not given.
    """
    kind = "sequences" if exported.shape is None else "images"
    if exported.latent is not None:
        kind = "one pass"
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"Sampler: {name} must be None for an export of {kind}, got {_described(value)}"
            )


def conditions(exported: Exported, n: int, **given: Any) -> dict[str, NDArray[Any]]:
    """What the graph is told of every image, by the names of its inputs.

    Args:
        exported: What is drawn from; its conditions say which it needs, and how large they are.
        n: Images.
        given: `classes` integers (N,), `vector` (N, V), `features` (N, F, H, W); None for none.

    Raises:
        ValueError: One is missing or not wanted, or of a wrong type, shape or range.
    """
    refuse(exported, **{k: v for k, v in given.items() if k not in exported.conditions})
    _, *sides = exported.shape or (0, 0, 0)
    fed: dict[str, NDArray[Any]] = {}
    for name, size in exported.conditions.items():
        if given[name] is None:
            raise ValueError(f"Sampler: {name} must be given, this export draws under it")
        if name == "classes":
            fed[name] = whole_rows(name, given[name], n, size)[:, None]
        else:
            fed[name] = _reals(name, given[name], (n, size, *(sides if name == "features" else ())))
    return fed


def given_levels(exported: Exported, n: int, given: Any) -> Integers:
    """Levels that are taken as they are, int64 (N, C, H, W); -1 where one is drawn.

    Args:
        exported: What is drawn from.
        n: Images.
        given: None; or an image (N, C, H, W) and a mask bool (N, 1, H, W) or (N, C, H, W), True
            where the image counts.

    Raises:
        ValueError: A wrong type or shape, a level out of range where it counts, or a part of a
            pixel where one draw gives all channels.
    """
    shape = (n, *(exported.shape or ()))
    if given is None:
        return np.full(shape, -1)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(
            f"Sampler: given must be a pair of image and mask, got {type(given).__name__}"
        )
    image, mask = (np.asarray(part) for part in given)
    if image.dtype.kind not in "iu" or image.shape != shape:
        raise ValueError(f"Sampler: given: image must be integers {shape}, got {_described(image)}")
    if mask.dtype != np.bool_ or mask.shape not in (shape, (n, 1, *shape[2:])):
        raise ValueError(
            f"Sampler: given: mask must be bool {(n, 1, *shape[2:])} or {shape}, "
            f"got {_described(mask)}"
        )
    if exported.parts == 1:
        _check_whole_pixels(mask)
    wrong = mask & ((image < 0) | (image >= exported.classes))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"Sampler: given: image must be from 0 to {exported.classes - 1}, got {image[place]} "
            "in row {}, channel {}, y {}, x {}".format(*place)
        )
    return np.where(mask, image, -1).astype(np.int64)


def _check_whole_pixels(mask: NDArray[np.bool_]) -> None:
    wrong = mask != mask[:, :1]
    if wrong.any():
        place = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            "Sampler: given: mask must take whole pixels, got another value than channel 0's in "
            "row {}, channel {}, y {}, x {}".format(*place)
        )


def _reals(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    found = np.asarray(value)
    if found.dtype.kind not in "iuf" or found.shape != shape:
        raise ValueError(f"Sampler: {name} must be numbers {shape}, got {_described(found)}")
    finite = np.isfinite(found)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"Sampler: {name} must be finite, got {found[place]} at {place}")
    return found.astype(np.float32)


def _described(value: Any) -> str:
    found = np.asarray(value)
    return f"{found}" if found.ndim == 0 else f"{found.dtype} {found.shape}"
