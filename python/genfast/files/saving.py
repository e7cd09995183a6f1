"""A model to a folder, in an order that makes a kill at any moment harmless."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from genfast.files.atomic import replacing, sync_folder
from genfast.files.card import Card, kept_licence
from genfast.files.config import CONFIG, README, WEIGHTS, Saved
from genfast.files.folder import Folder
from genfast.files.header import header_bytes
from genfast.files.hub import HUB

__all__ = ["save"]

_MOST_CARD_BYTES = 2**20


def save(
    model: Any,
    path: str | Path,
    *,
    figures: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    others: Mapping[str, bytes] | None = None,
) -> None:
    """Writes a model into a folder that `genfast.load` reads.

    Every file is written beside its place and synced before the first name changes, so a full disk
    leaves the folder as it was. Then names change in this order; a kill in between leaves the old
    model or the new one, since a folder without config.json loads, too::

        config.json         removed, where its content changes
        others, README.md
        model.safetensors   weights, class and arguments, in one rename
        config.json         the new one

    Args:
        model: An nn.Module with `config()` and `from_config`.
        path: The folder; it and its parents are made where they are missing.
        figures: What was measured of the model, JSON; those it has when None.
        extra: More keys of config.json.
        others: More files, by their path inside the folder, with slashes.

    Raises:
        ValueError: The model is no such model, a weight is not finite, or something is no JSON;
            nothing has been written.
        OSError: The folder cannot be written; a model that was there is there still.
    """
    if isinstance(path, str) and path.startswith(HUB):
        raise ValueError(f"save: path must be a folder of this machine, got {path!r:.80}")
    saved, tensors, header = _described(model, figures)
    config = saved.config(extra)
    inside = {_inside(name): data for name, data in (others or {}).items()}
    folder = Path(path)
    for parent in {folder, *((folder / name).parent for name in inside)}:
        parent.mkdir(parents=True, exist_ok=True)
    readme = _card(model, saved, tensors, extra, folder)

    # A stack closes from its end: what is written first is renamed last.
    with ExitStack() as stack:
        _stage(stack, folder / CONFIG, config)
        _stage(stack, folder / WEIGHTS, header, (tensor for _, tensor in tensors.values()))
        for name, data in {README: readme, **inside}.items():
            _stage(stack, folder / name, data)
        _remove_unless(folder, config)


def _described(
    model: Any, figures: Mapping[str, Any] | None
) -> tuple[Saved, dict[str, tuple[str, Any]], bytes]:
    """What the model says of itself, its tensors, and the header of the two, checked to load."""
    # Here, so that one who only reads files of a folder needs no torch.
    from genfast.files.blank import blank_model, check_fits
    from genfast.files.weights import tensors_of

    kind = type(model)
    if not (hasattr(model, "config") and hasattr(kind, "from_config")):
        raise ValueError(f"save: model must have config() and from_config, got a {kind.__name__}")
    figures = getattr(model, "figures", {}) if figures is None else figures
    saved = Saved.from_metadata(Saved(kind.__name__, model.config(), dict(figures)).metadata(), "")
    tensors = tensors_of(model)
    shapes = {name: (dtype, tuple(tensor.shape)) for name, (dtype, tensor) in tensors.items()}
    where = f"save: {kind.__name__} is not what its config() says"
    check_fits(blank_model(kind, saved.arguments, len(shapes), where), shapes, where)
    return saved, tensors, header_bytes(shapes, saved.metadata())


def _inside(name: str) -> str:
    """A path inside the folder, or ValueError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name in ("", ".", CONFIG, WEIGHTS, README):
        raise ValueError(f"save: others must be other files inside the folder, got {name!r:.80}")
    return name


def _card(
    model: Any,
    saved: Saved,
    tensors: Mapping[str, tuple[str, Any]],
    extra: Mapping[str, Any] | None,
    folder: Path,
) -> bytes:
    """The model card, with the licence of the card that is there."""
    licence = None
    with suppress(OSError, ValueError):
        licence = kept_licence(Folder(folder).read(README, _MOST_CARD_BYTES).decode())
    card = Card(
        title=folder.resolve().name,
        saved=saved,
        weights=sum(tensor.numel() for _, tensor in tensors.values()),
        dtypes=[str(tensor.dtype).removeprefix("torch.") for _, tensor in tensors.values()],
        example=getattr(model, "draw_example", "x = model.sample(4, seed=0)"),
        exported=(extra or {}).get("sampler"),
    )
    return card.text(licence).encode(errors="replace")


def _stage(stack: ExitStack, path: Path, data: bytes, tensors: Iterable[Any] = ()) -> None:
    """Writes and syncs a file whose name changes when the stack closes."""
    from genfast.files.weights import write_weights

    file = stack.enter_context(replacing(path))
    file.write(data)
    write_weights(file, tensors)
    file.flush()
    os.fsync(file.fileno())


def _remove_unless(folder: Path, config: bytes) -> None:
    """Removes a config.json that says something else, before what it speaks of changes."""
    try:
        same = Folder(folder).read(CONFIG, len(config)) == config
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        same = False
    if not same:
        (folder / CONFIG).unlink()
        sync_folder(folder)
