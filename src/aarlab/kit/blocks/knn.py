"""Relabelling by nearest neighbours in the student's features (EleutherAI w2s, 2024; Wilson 1972's edited
rule).

y <- (1 - share) y + share * mean of y over the k most similar rows, the row itself left out. Similarity
is the cosine. For paired rows -x is the same row with its sides exchanged, so a neighbour counts with the
sign of the cosine and its label is mirrored if that is negative.
"""

from typing import Any

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
    """(n, k) numbers of the k rows of greatest cosine (`signed`: absolute cosine), self excluded; (n, k)
    cosines.

    Raises ValueError unless 1 <= k < n.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"k must be between 1 and the number of rows less one, not {k}")
    latest = _LATEST and _LATEST[0] is x and _LATEST[1] == (signed, dims) and _LATEST[2].shape[1] >= k
    if x.flags.writeable or not latest:
        _LATEST[:] = [x, (signed, dims), *_nearest(x[:, :dims], min(max(k, 64), len(x) - 1), signed)]
    return _LATEST[2][:, :k], _LATEST[3][:, :k]


# The latest answer, for methods that chain blocks on one representation. It is read-only and held here, so
# the same object has the same content.
_LATEST: list[Any] = []


def _nearest(x: Floats, k: int, signed: bool) -> tuple[NDArray[np.int64], Floats]:
    """(n, k) nearest first, in chunks of rows that stay in cache."""
    u = x / (np.linalg.norm(x, axis=1, keepdims=True) + np.float32(1e-9))
    index, similarity = np.empty((len(x), k), np.int64), np.empty((len(x), k), np.float32)
    for i in range(0, len(x), 128):
        cosine = u[i : i + 128] @ u.T
        rank = -np.abs(cosine) if signed else -cosine
        rank[np.arange(len(rank)), np.arange(i, i + len(rank))] = 2
        near = np.argpartition(rank, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(rank, near, 1), axis=1, kind="stable")
        index[i : i + 128] = np.take_along_axis(near, order, 1)
        similarity[i : i + 128] = np.take_along_axis(cosine, index[i : i + 128], 1)
    return index, similarity
