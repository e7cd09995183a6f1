"""PixelCNN: images drawn pixel by pixel, each seeing those above it and left of it."""

from genfast.models.pixelcnn.model import PixelCNN

__all__ = ["PixelCNN"]
