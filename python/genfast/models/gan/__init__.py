"""A game of two networks: one draws, the other tells what it drew from data."""

from genfast.models.gan.model import GAN

__all__ = ["GAN"]
