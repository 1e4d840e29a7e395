"""TopoFilter (Wu et al. 2020, "A topological filter for learning with label noise"; EleutherAI w2s, topo.py).

In the graph from every row to its k nearest, the rows of one class that hold together are taken for clean: the largest
strongly connected component of each class. Then the rows furthest from the mean label of their neighbours within it go,
until a share `drop` of all is gone. A pair is turned so that its label is above 1/2, and all pairs are one class; a
neighbour that resembles its mirror image counts as one of the other class.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats
from aarlab.kit.blocks.knn import neighbours

Mask = NDArray[np.bool_]


def held(x: Floats, y: Floats, weight: Floats, k: int, paired: bool, dims: int) -> Mask:
    """(n,) rows of the largest strongly connected component of each class."""
    index, cosine = neighbours(x, k, paired, dims)
    side = y > 0.5
    turned = np.where(cosine < 0, ~side[index], side[index]) if paired else side[index]
    edge = (turned == side[:, None]) & (weight[index] > 0)
    if paired:
        return largest(index, edge, weight > 0)
    return largest(index, edge, side & (weight > 0)) | largest(index, edge, ~side & (weight > 0))


def largest(index: NDArray[np.int64], edge: Mask, inside: Mask) -> Mask:
    """(n,) the largest strongly connected component of the rows `inside`. index, edge: (n, k), where a row's edges lead
    and which of them there are."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - takes longer to import than most methods run
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    n, k = index.shape
    ends = np.stack([np.repeat(np.arange(n), k), index.ravel()])
    ends = ends[:, edge.ravel() & inside[ends].all(0)]
    if not inside.any():
        return np.zeros(n, bool)
    graph = coo_array((np.ones(ends.shape[1]), ends), shape=(n, n))
    component = connected_components(graph, directed=True, connection="strong")[1]
    return np.asarray((component == np.bincount(component[inside]).argmax()) & inside)


def vote(x: Floats, y: Floats, among: Mask, k: int, paired: bool, dims: int) -> Floats:
    """(n,) mean label of every row's k nearest rows `among` those held, itself left out."""
    u = x[:, :dims] / (np.linalg.norm(x[:, :dims], axis=1, keepdims=True) + np.float32(1e-9))
    rows = np.flatnonzero(among)
    k = min(k, len(rows) - 1)
    if k < 1:
        return y
    cosine = u @ u[rows].T
    near = np.abs(cosine) if paired else cosine.copy()
    near[rows, np.arange(len(rows))] = -2
    index = np.argpartition(-near, k - 1, axis=1)[:, :k]
    sign = np.sign(np.take_along_axis(cosine, index, 1)) if paired else np.float32(1)
    return np.asarray((sign * (y[rows[index]] - 0.5)).mean(1) + 0.5, np.float32)


def topo_filter(x: Floats, y: Floats, weight: Floats, k: int, drop: float, paired: bool, dims: int) -> Mask:
    """(n,) rows that stay. Where the components alone leave out more than `drop`, nothing else goes."""
    among = held(x, y, weight, k, paired, dims)
    most = round((1 - drop) * int((weight > 0).sum()))
    rows = np.flatnonzero(among)
    gap = np.abs(y - vote(x, y, among, k, paired, dims))[rows]
    stay = np.zeros(len(y), bool)
    stay[rows[np.argsort(gap, kind="stable")[:most]]] = True
    return stay
