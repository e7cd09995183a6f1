"""A folder to a model: the header first, then the class, and memory only for what fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genfast.files import strict_json
from genfast.files.blank import blank_model, check_fits, give_weights
from genfast.files.config import CONFIG, WEIGHTS, Saved, check_copy
from genfast.files.folder import Folder
from genfast.files.header import Header, read_header
from genfast.files.hub import HUB, fetch
from genfast.files.weights import read_weights

__all__ = ["load", "open_folder", "read_saved"]


def load(path: str | Path, device: str | torch.device, class_of: Callable[[str], Any]) -> nn.Module:
    """The saved model of a folder; see `genfast.load`.

    Args:
        path: The folder, or "hf://owner/name".
        device: Where the model is to lie.
        class_of: The class of a name, or ValueError.
    """
    _check_device(device)
    folder = open_folder(path)
    where = f"load: {folder.path / WEIGHTS}"
    with folder.open(WEIGHTS) as file:
        header = read_header(file, where)
        saved = _checked(header, folder, where)
        stored = {name: (entry.dtype, entry.shape) for name, entry in header.tensors.items()}
        model = blank_model(class_of(saved.name), saved.arguments, len(stored), where)
        check_fits(model, stored, where)
        give_weights(model, read_weights(file, header, where), where)
    model.figures = saved.figures  # type: ignore[assignment]
    return model.to(device).eval()


def read_saved(path: str | Path) -> Saved:
    """What the model of a folder says of itself; no weight is read and no class is needed.

    Raises:
        ValueError, OSError: As `genfast.load`, as far as the weights' header and config.json go.
    """
    folder = open_folder(path)
    where = f"load: {folder.path / WEIGHTS}"
    with folder.open(WEIGHTS) as file:
        return _checked(read_header(file, where), folder, where)


def open_folder(path: str | Path) -> Folder:
    """A folder of this machine, or of the Hugging Face Hub, fetched."""
    if isinstance(path, str) and path.startswith(HUB):
        fetched = fetch(path, [WEIGHTS, CONFIG])
        return Folder(fetched.folder, root=fetched.root)
    return Folder(path)


def _checked(header: Header, folder: Folder, where: str) -> Saved:
    """The metadata, when config.json is missing or agrees with it."""
    saved = Saved.from_metadata(header.metadata, where)
    try:
        copy = folder.read(CONFIG, strict_json.MOST_BYTES)
    except FileNotFoundError:
        return saved
    check_copy(saved, copy, str(folder.path))
    return saved


def _check_device(device: str | torch.device) -> None:
    try:
        torch.empty(0, device=device)
    except Exception as error:  # torch raises RuntimeError, AssertionError, TypeError, ...
        first = str(error).partition("\n")[0]
        raise ValueError(
            f"load: device must be one of this machine's, got {device!r}: {first}"
        ) from error
