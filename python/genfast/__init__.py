"""genfast: train generative models in PyTorch, draw from them in a compiled core."""

from genfast import data, heads, models, program, random, testing
from genfast._extension import core as _core
from genfast.explain import explain
from genfast.models import SequenceModel
from genfast.sampling import Sample
from genfast.session import Session
from genfast.training import fit

__version__: str = _core.build_info()["version"]

__all__ = [
    "Sample",
    "SequenceModel",
    "Session",
    "data",
    "explain",
    "fit",
    "heads",
    "models",
    "program",
    "random",
    "testing",
]
