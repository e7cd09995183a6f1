"""Autoencoders: latents that data are made of, with a distribution of them and without."""

from genfast.models.autoencoder.plain import Autoencoder
from genfast.models.autoencoder.vae import VAE

__all__ = ["VAE", "Autoencoder"]
