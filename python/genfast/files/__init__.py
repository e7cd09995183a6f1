"""Saved models as folders: written so that no kill loses one, read so that nothing is believed."""

from genfast.files.atomic import replacing, write_bytes
from genfast.files.saving import save

__all__ = ["replacing", "save", "write_bytes"]
