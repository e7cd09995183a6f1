"""genfast: train generative models in PyTorch, draw from them in a compiled core.

Names are imported when they are first used, so that `genfast.runtime` needs NumPy and ONNX Runtime
alone. A function is never called as a module is: importing a submodule would take its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genfast import data, heads, metrics, models, nn, program, random, runtime, testing
    from genfast.causality import check_causality
    from genfast.explaining import explain
    from genfast.exporting import export
    from genfast.likelihood import bits_per_dim
    from genfast.models import GAN, VAE, Autoencoder, PixelCNN, SequenceModel
    from genfast.models.registry import load, register
    from genfast.sampling import Sample
    from genfast.session import Session
    from genfast.training.fit import fit

    __version__: str

# The module that holds each public name; "" for a name that is a module itself.
_HOMES = {
    "Autoencoder": "models",
    "GAN": "models",
    "PixelCNN": "models",
    "Sample": "sampling",
    "SequenceModel": "models",
    "Session": "session",
    "VAE": "models",
    "bits_per_dim": "likelihood",
    "check_causality": "causality",
    "data": "",
    "explain": "explaining",
    "export": "exporting",
    "fit": "training",
    "heads": "",
    "load": "models.registry",
    "metrics": "",
    "models": "",
    "nn": "",
    "program": "",
    "random": "",
    "register": "models.registry",
    "runtime": "",
    "testing": "",
}

__all__ = [
    "GAN",
    "VAE",
    "Autoencoder",
    "PixelCNN",
    "Sample",
    "SequenceModel",
    "Session",
    "bits_per_dim",
    "check_causality",
    "data",
    "explain",
    "export",
    "fit",
    "heads",
    "load",
    "metrics",
    "models",
    "nn",
    "program",
    "random",
    "register",
    "runtime",
    "testing",
]


def __getattr__(name: str) -> Any:
    """A public name, imported at its first use."""
    if name == "__version__":
        value = import_module("genfast._extension").core.build_info()["version"]
    elif name not in _HOMES:
        raise AttributeError(f"module 'genfast' has no attribute {name!r}")
    elif _HOMES[name]:
        value = getattr(import_module(f"genfast.{_HOMES[name]}"), name)
    else:
        value = import_module(f"genfast.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
