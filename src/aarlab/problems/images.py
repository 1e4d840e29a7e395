"""Real images that need no download."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Images = NDArray[np.float32]


@lru_cache(maxsize=1)
def archive() -> tuple[Images, NDArray[np.int64]]:
    """All 1,797 images, (n, 8, 8) in [0, 1], and their digits (Alpaydin & Kaynak 1998; from scikit-learn)."""
    bunch = load_digits()
    return (bunch.images / 16.0).astype(np.float32), bunch.target.astype(np.int64)
