"""Models, one family a file; each is plain PyTorch and writes itself down as a program."""

from genfast.models.registry import load, register
from genfast.models.sequence import SequenceModel

__all__ = ["SequenceModel", "load", "register"]
