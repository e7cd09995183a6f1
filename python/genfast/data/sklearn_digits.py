"""The handwritten digits that come with scikit-learn: real images that need no download."""

from __future__ import annotations

import torch

from genfast.data.images import Images

__all__ = ["digits"]


def digits() -> Images:
    """1,797 grey 8x8 images of 17 levels, in 10 classes (Alpaydin and Kaynak 1998, UCI).

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(
            "digits: scikit-learn must be installed, which holds them: pip install scikit-learn"
        ) from None
    found = load_digits()
    x = torch.from_numpy(found.images).to(torch.int64)[:, None]
    names = tuple(str(digit) for digit in range(10))
    return Images(x, torch.from_numpy(found.target).to(torch.int64), 17, "digits", names)
