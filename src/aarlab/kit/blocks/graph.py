"""Graph smoothing of labels (Zhou et al. 2004): F = (1 - a)(I - a S)^-1 W on the neighbour graph of the
student.

W = y - 1/2; S = D^-1/2 A D^-1/2, A the symmetric graph of each row's k nearest neighbours, each edge 1,
or -1 between a pair and what resembles its mirror image. The solution is the limit of F <- a S F + (1 -
a) W.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, mix
from aarlab.kit.blocks.knn import neighbours
from aarlab.kit.task import W2STask


def graph(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    k: int = 10,
    a: float = 0.8,
    share: float = 1.0,
    steps: int = 20,
    dims: int = 64,
) -> Labels:
    """y <- (1 - share) y + share (1/2 + F scaled to the labels' own spread); weights multiply W."""
    if not 0 <= a < 1:
        raise ValueError(f"a must be in [0, 1), not {a}")
    index, cosine = neighbours(x, k, task.paired, dims)
    n = len(x)
    start, end = np.repeat(np.arange(n), k), index.ravel()
    edge = np.sign(cosine).ravel()
    degree = np.bincount(start, minlength=n) + np.bincount(end, minlength=n)
    value = edge / np.sqrt(degree[start] * degree[end])
    source = (y - 0.5) * weight
    f = source.astype(np.float64)
    for _ in range(steps):
        spread = np.bincount(start, value * f[end], n) + np.bincount(end, value * f[start], n)
        f = a * spread + (1 - a) * source
    f = f * (np.std(source) / (np.std(f) + 1e-12))
    return mix(y, np.clip(f + 0.5, 0, 1).astype(np.float32), share), weight
