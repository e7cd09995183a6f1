"""Models, one family a file: plain PyTorch, drawn from through a program or in one pass."""

from genfast.models.autoencoder import VAE, Autoencoder
from genfast.models.gan import GAN
from genfast.models.pixelcnn import PixelCNN
from genfast.models.registry import load, register
from genfast.models.sequence import SequenceModel

__all__ = ["GAN", "VAE", "Autoencoder", "PixelCNN", "SequenceModel", "load", "register"]
