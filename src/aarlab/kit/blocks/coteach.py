"""Co-teaching (Han et al. 2018): two students, each of which chooses what the other learns from.

Of every mini-batch each head takes the share R of rows on which its own loss is smallest, and its peer is trained on
these. R = 1 - tau min(1, s / ramp) falls as training goes on (s: share of it done), for a head fits what is regular
first and what is wrong last. The heads differ by their random starts; their logits are averaged.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats
from aarlab.kit.descend import descend
from aarlab.kit.heads import Head, sigmoid
from aarlab.kit.task import W2STask


def coteach(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    tau: float = 0.3,
    ramp: float = 0.5,
    ridge: float = 1e-2,
    epochs: int = 6,
    rate: float = 3e-3,
) -> Head:
    """tau: share of rows that are left out in the end, the paper's guess at the share of wrong labels. weight (n, B) is
    averaged. -> Head of two columns. Raises ValueError if tau is not in [0, 1)."""
    if not 0 <= tau < 1:
        raise ValueError(f"tau must be in [0, 1), not {tau}")
    size = np.float32(0.1 / np.sqrt(x.shape[1]))
    start = np.random.default_rng([task.seed, 37]).standard_normal((x.shape[1], 2)).astype(np.float32) * size

    def slope(z: Floats, rows: NDArray[np.int64], s: float) -> Floats:
        keep = 1 - tau * min(1.0, s / ramp)
        return (sigmoid(z) - y[rows, None]) * peers_choice(z, y[rows], keep) / np.float32(keep)

    w = weight if weight.ndim == 1 else weight.mean(1)
    return descend(
        x, w, slope, ridge=ridge, intercept=not task.paired, epochs=epochs, rate=rate, seed=task.seed,
        start=Head(start, np.zeros(2, np.float32)),
    )  # fmt: skip


def peers_choice(z: Floats, y: Floats, keep: float) -> Floats:
    """(b, 2) logits, (b,) labels -> (b, 2) 1 for the rows that a head learns from: those of its peer's least loss."""
    loss = np.logaddexp(0, z) - y[:, None] * z
    rank = np.argsort(np.argsort(loss, axis=0, kind="stable"), axis=0)
    return (rank[:, ::-1] < max(1, round(keep * len(z)))).astype(np.float32)
