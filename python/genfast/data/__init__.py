"""Text and images as tensors, and the simple models that a neural one should beat."""

from __future__ import annotations

from genfast.data.arrays import read_array
from genfast.data.folders import read_folder
from genfast.data.idx import read_idx
from genfast.data.images import Images
from genfast.data.movies import gif
from genfast.data.ngram import NGram
from genfast.data.pictures import grid, png
from genfast.data.pixel_frequencies import PixelFrequencies
from genfast.data.reading import read_images
from genfast.data.sklearn_digits import digits
from genfast.data.symbols import Bytes, Symbols, Vocabulary, symbols_from_config
from genfast.data.text import (
    known_words,
    pydoc_topics,
    random_windows,
    read_symbols,
    read_text,
    split_tokens,
    windows,
)
from genfast.data.toys import eight_centres, eight_gaussians

__all__ = [
    "Bytes",
    "Images",
    "NGram",
    "PixelFrequencies",
    "Symbols",
    "Vocabulary",
    "digits",
    "eight_centres",
    "eight_gaussians",
    "gif",
    "grid",
    "known_words",
    "png",
    "pydoc_topics",
    "random_windows",
    "read_array",
    "read_folder",
    "read_idx",
    "read_images",
    "read_symbols",
    "read_text",
    "split_tokens",
    "symbols_from_config",
    "windows",
]
