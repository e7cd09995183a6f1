"""Images from wherever they are::

"digits"                    scikit-learn's, 8x8, 17 levels, 10 classes      digits
folder/*.png, class/*.jpg   sub-folders are classes                         read_folder
x.npy  x.npz                integers (N, H, W), (N, C, H, W), (N, H, W, C)  read_array
train-images-idx3-ubyte.gz  the format of MNIST                             read_idx
    |
Images    x int64 (N, C, H, W) in [0, levels), labels int64 (N,)
    |---- quantised(16)     fewer levels
    '---- split(0.1)        two parts, the same ones for the same seed
"""

from __future__ import annotations

from pathlib import Path

from genfast.data.arrays import read_array
from genfast.data.folders import read_folder
from genfast.data.idx import read_idx
from genfast.data.images import Images
from genfast.data.sklearn_digits import digits

__all__ = ["read_images"]


def read_images(
    source: str | Path,
    *,
    labels: str | Path | None = None,
    levels: int | None = None,
    size: tuple[int, int] | None = None,
    key: str | None = None,
    label_key: str | None = None,
) -> Images:
    """Images from wherever they are; the kind of `source` is seen from its name and first bytes.

    Args:
        source: "digits", a folder of pictures, an .npy or .npz file, or an IDX file, packed with
            gzip or not.
        labels: An IDX or .npy file of labels, for those two kinds.
        levels: Fewer levels than there are; see `Images.quantised`.
        size: (height, width) that the pictures of a folder are brought to.
        key: The array of an .npz file that holds the images.
        label_key: The array of an .npz file that holds the labels.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged, or not what its kind must be; or an option is given that
            the kind does not have.
        ImportError: scikit-learn or Pillow is needed and not installed.
    """
    path, options = Path(source), {"labels": labels, "key": key, "label_key": label_key}
    if str(source) == "digits":
        _refuse("digits", size=size, **options)
        found = digits()
    elif path.is_dir():
        _refuse("a folder of pictures", **options)
        found = read_folder(path, size=size)
    elif path.suffix == ".npz":
        _refuse("an .npz file", labels=labels, size=size)
        found = read_array(path, key=key, label_key=label_key)
    elif path.suffix == ".npy":
        _refuse("an .npy file", size=size, key=key, label_key=label_key)
        found = read_array(path, labels)
    else:
        _refuse("an IDX file", size=size, key=key, label_key=label_key)
        found = read_idx(path, labels)
    return found.quantised(levels)


def _refuse(kind: str, **options: object) -> None:
    """ValueError for the first option that was given to a kind that does not have it."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"read_images: {kind} takes no {name}, got {name}={value}")
