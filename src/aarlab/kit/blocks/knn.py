"""Relabelling by nearest neighbours in the student's features (EleutherAI w2s, 2024; Wilson 1972's edited rule).

y <- (1 - share) y + share * mean of y over the k most similar rows, the row itself left out. Similarity is the
cosine. For paired rows -x is the same row with its sides exchanged, so a neighbour counts with the sign of the
cosine and its label is mirrored if that is negative.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats, Labels, mix
from aarlab.kit.task import W2STask


def knn(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    k: int = 20,
    share: float = 1.0,
    dims: int = 64,
) -> Labels:
    """Relabel by k neighbours on the first `dims` columns of x (its main axes)."""
    index, similarity = neighbours(x, k, task.paired, dims)
    lean = np.sign(similarity) * (y[index] - np.float32(0.5))
    w = weight[index] + np.float32(1e-6)
    return mix(y, (w * lean).sum(1) / w.sum(1) + np.float32(0.5), share), weight


def neighbours(x: Floats, k: int, signed: bool, dims: int = 64) -> tuple[NDArray[np.int64], Floats]:
    """(n, k) numbers of the k rows of greatest cosine (`signed`: absolute cosine), self excluded; (n, k) cosines.

    Raises ValueError unless 1 <= k < n.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"k must be between 1 and the number of rows less one, not {k}")
    u = x[:, :dims]
    u = u / (np.linalg.norm(u, axis=1, keepdims=True) + np.float32(1e-9))
    cosine = u @ u.T
    rank = np.abs(cosine) if signed else cosine.copy()
    np.fill_diagonal(rank, -2)
    index = np.argpartition(rank, len(x) - k, axis=1)[:, len(x) - k :]
    return index, np.take_along_axis(cosine, index, 1)
