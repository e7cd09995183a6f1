"""The classes that saved models may name, and `load`: a class is looked up, never imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from genfast import files
from genfast.files import loading

__all__ = ["is_registered", "load", "register", "registered", "save_registered"]

Class = TypeVar("Class", bound=type)

_CLASSES: dict[str, Any] = {}
_NEEDED = ("config", "from_config", "state_dict", "load_state_dict")


def register(kind: Class) -> Class:
    """Lets `load` build a class of your own; a decorator.

    An instance is an nn.Module whose `config()` gives the arguments of its constructor as JSON,
    whose classmethod `from_config` makes it again, and whose `state_dict` holds every tensor that
    it computes with. `from_config` meets whatever a file says: it checks sizes before it builds.

    Args:
        kind: The class; files name it by `kind.__name__`.

    Raises:
        ValueError: The name is taken, or a method is missing.

    Example:
        @genfast.register
        class Melody(nn.Module): ...
    """
    if not isinstance(kind, type):
        raise ValueError(f"register: kind must be a class, got {kind!r:.80}")
    missing = [name for name in _NEEDED if not callable(getattr(kind, name, None))]
    if missing:
        raise ValueError(f"register: {kind.__name__} must have {missing[0]}()")
    if kind.__name__ in _CLASSES:
        raise ValueError(
            f"register: the name {kind.__name__} is taken by {_CLASSES[kind.__name__]}"
        )
    _CLASSES[kind.__name__] = kind
    return kind


def load(path: str | Path, device: str | torch.device = "cpu") -> Any:
    """The model of a folder that `save` wrote, in evaluation mode, drawing what the saved one drew.

    Nothing in the folder is believed. The header of the weights is compared with the bytes present
    and with the model that its metadata describes, before memory is taken: at most the size of the
    file. No pickle is read, and nothing is imported by a name from a file. At most these are built:
    65,536 units or columns of an embedding, 1,024 layers, 2**24 classes.

    Args:
        path: The folder, or "hf://owner/name" or "hf://owner/name@revision" for a repository of
            the Hugging Face Hub, which needs huggingface_hub. A folder never touches the network.
        device: Where the model is to lie.

    Returns:
        The model, in the dtypes it was saved in; `figures` is what was saved with it.

    Raises:
        FileNotFoundError: The folder or its weights are not there.
        OSError: A file cannot be read, or a repository cannot be fetched.
        ValueError: The folder is cut short, malformed or hostile, or of an unknown class; or
            config.json and the weights disagree, which an interrupted save leaves.
    """
    return loading.load(path, device, registered)


def save_registered(model: Any, path: str | Path, figures: Mapping[str, Any] | None = None) -> None:
    """`files.save` for a model that `load` will know.

    Raises:
        ValueError: Its class is not registered; else as `files.save`.
        OSError: As `files.save`.
    """
    kind = type(model)
    if not is_registered(kind):
        raise ValueError(
            f"save: the class {kind.__name__} must be registered to be loaded again; "
            "put @genfast.register before it"
        )
    files.save(model, path, figures=figures)


def is_registered(kind: type) -> bool:
    """Whether `load` will find this very class by its name."""
    return _CLASSES.get(kind.__name__) is kind


def registered(name: str) -> Any:
    """The class of a name, or ValueError listing them."""
    if name not in _CLASSES:
        raise ValueError(
            f"load: class must be one of {', '.join(sorted(_CLASSES))} (see genfast.register), "
            f"got {name[:80]!r}"
        )
    return _CLASSES[name]
