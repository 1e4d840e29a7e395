"""Probes on the untuned student (EleutherAI w2s, probe.py): relabel the pool by a probe, or drop what it contradicts.

A probe is trained on the teacher's labels and predicts them again:

    knn       mean label of the k nearest rows, the row itself left out (theirs is among its own neighbours)
    logistic  BCE + l2 |v|^2, with theirs l2 = 1e-3
    topo      mean label of the k nearest rows that the graph of neighbours holds together (topo.py)

Filtering drops the share `drop` of rows with the largest |probe - y|; for topo as its own paper does.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, mix
from aarlab.kit.blocks.knn import knn
from aarlab.kit.blocks.topo import held, topo_filter, vote
from aarlab.kit.heads import fit
from aarlab.kit.task import W2STask

PROBES = ("knn", "logistic", "topo")


def probe_labels(
    task: W2STask, x: Floats, y: Floats, weight: Floats, *, kind: str = "logistic", k: int = 20, l2: float = 1e-3,
    share: float = 1.0, dims: int = 64,
) -> Labels:  # fmt: skip
    """y <- (1 - share) y + share probe. Raises ValueError for an unknown kind."""
    return mix(y, _predict(task, x, y, weight, kind, k, l2, dims), share), weight


def probe_filter(
    task: W2STask, x: Floats, y: Floats, weight: Floats, *, kind: str = "logistic", k: int = 20, l2: float = 1e-3,
    drop: float = 0.1, dims: int = 64,
) -> Labels:  # fmt: skip
    """Labels stay; weight <- the rows that the probe contradicts least. Raises ValueError for an unknown kind."""
    if kind == "topo":
        return y, weight * topo_filter(x, y, weight, k, drop, task.paired, dims).astype(np.float32)
    gap = np.abs(_predict(task, x, y, weight, kind, k, l2, dims) - y)
    return y, weight * best(-gap, weight, 1 - drop).astype(np.float32)


def _predict(
    task: W2STask, x: Floats, y: Floats, weight: Floats, kind: str, k: int, l2: float, dims: int
) -> Floats:
    if kind not in PROBES:
        raise ValueError(f"no probe {kind!r}; known: {', '.join(PROBES)}")
    if kind == "knn":
        return knn(task, x, y, weight, k=k, dims=dims)[0]
    if kind == "topo":
        return vote(x, y, held(x, y, weight, k, task.paired, dims), k, task.paired, dims)
    return fit(x, y, weight, ridge=2 * l2, intercept=not task.paired).predict(x).astype(np.float32)
