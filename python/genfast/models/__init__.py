"""Models, one family a file; each is plain PyTorch and writes itself down as a program."""

from genfast.models.pixelcnn import PixelCNN
from genfast.models.registry import load, register
from genfast.models.sequence import SequenceModel

__all__ = ["PixelCNN", "SequenceModel", "load", "register"]
