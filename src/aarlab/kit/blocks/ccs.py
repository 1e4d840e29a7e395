"""Contrast-consistent search (Burns et al. 2022): a direction along which the two sides of a pair
contradict.

    min over (v, c) of mean[(p+ + p- - 1)^2 + min(p+, p-)^2],   p = s(v . side + c), each side mean-centred.

Several restarts, of which the smallest loss is kept; no label enters but in the sign, which the teacher
gives.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, mix
from aarlab.kit.heads import sigmoid
from aarlab.kit.represent import Layers, sides
from aarlab.kit.task import W2STask


def ccs(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    share: float = 1.0,
    layers: Layers = "last",
    pca: int = 16,
    restarts: int = 6,
    steps: int = 100,
) -> Labels:
    """y <- (1 - share) y + share (p+ + 1 - p-) / 2. Raises ValueError for rows that are not paired."""
    if not task.paired:
        raise ValueError("CCS needs paired rows, which state opposite claims: not applicable to single rows")
    p = search(sides(task.student, layers, pca), restarts, steps, task.seed)
    agreement = float(((p - 0.5) * (y - 0.5) * weight).sum())
    return mix(y, p if agreement >= 0 else 1 - p, share), weight


def search(pairs: Floats, restarts: int, steps: int, seed: int) -> Floats:
    """(n, 2, k) centred sides -> (n,) (p+ + 1 - p-) / 2 of the best restart, with an arbitrary sign.
    Adam, full batch."""
    k = pairs.shape[2]
    plus, minus = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    rng = np.random.default_rng([seed, 31])
    v = rng.standard_normal((k + 1, restarts)).astype(np.float32)
    v /= np.linalg.norm(v[:k], axis=0)
    v[k] = 0
    first, second = np.zeros_like(v), np.zeros_like(v)
    for step in range(1, steps + 1):
        _, gradient = loss(v, plus, minus)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        v = v - 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    v = v.astype(np.float32)
    value, _ = loss(v, plus, minus)
    best = v[:, int(np.argmin(value))]
    p, q = sigmoid(plus @ best[:k] + best[k]), sigmoid(minus @ best[:k] + best[k])
    return np.asarray((p + 1 - q) / 2, np.float32)


def loss(v: Floats, plus: Floats, minus: Floats) -> tuple[Floats, Floats]:
    """v: (k + 1, R), the last row the bias -> loss (R,) and its gradient (k + 1, R)."""
    v = v.astype(np.float32)
    k = len(v) - 1
    p, q = sigmoid(plus @ v[:k] + v[k]), sigmoid(minus @ v[:k] + v[k])
    gap = p + q - 1
    value = (gap**2 + np.minimum(p, q) ** 2).mean(0)
    gp = (2 * gap + 2 * p * (p < q)) * p * (1 - p) / np.float32(len(p))
    gq = (2 * gap + 2 * q * (q <= p)) * q * (1 - q) / np.float32(len(p))
    return value, np.vstack([plus.T @ gp + minus.T @ gq, gp.sum(0) + gq.sum(0)])
