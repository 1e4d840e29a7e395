"""Generalised cross-entropy (Zhang & Sabuncu 2018): between cross-entropy (q -> 0) and absolute error (q
= 1).

    loss = sum_k y_k (1 - p_k^q) / q.

Its gradient is cross-entropy's with row weight u = y p^q + (1 - y)(1 - p)^q and target y p^q / u, so it
is fitted by reweighting a few times: a row that the student contradicts counts for less.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats
from aarlab.kit.heads import Head, fit, sigmoid
from aarlab.kit.task import W2STask


def gce(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    ridge: float = 1e-2,
    q: float = 0.7,
    rounds: int = 5,
) -> Head:
    """weight (n,) or (n, B) -> Head. Raises ValueError if q is not in (0, 1]."""
    if not 0 < q <= 1:
        raise ValueError(f"q must be in (0, 1], not {q}")
    y = y[:, None]
    w = weight if weight.ndim == 2 else weight[:, None]
    head = fit(x, y, w, ridge=ridge, intercept=not task.paired)
    for _ in range(rounds):
        p = np.clip(sigmoid(head.logits(x)), 1e-6, 1 - 1e-6)
        one, zero = y * p**q, (1 - y) * (1 - p) ** q
        u = np.asarray(one + zero, np.float32)
        # cross-entropy's ridge is kept in proportion: `fit` scales weights to sum to 1, u does not
        size = float((w * u).sum() / w.sum())
        head = fit(x, one / u, w * u, ridge=ridge / max(size, 1e-6), intercept=not task.paired, start=head)
    return head
