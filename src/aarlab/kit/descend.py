"""Heads by stochastic descent, for losses that are not convex and methods in which the order of the rows counts; all
others are fitted exactly (heads.py)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.heads import Floats, Head

Slope = Callable[[Floats, NDArray[np.int64], float], Floats]


def descend(
    x: Floats,
    weight: Floats,
    slope: Slope,
    *,
    ridge: float,
    intercept: bool,
    epochs: int,
    rate: float,
    seed: int,
    start: Head | None = None,
    batch: int = 32,
) -> Head:
    """Adam (Kingma & Ba 2015) on batches of rows with weight, its rate falling linearly to 0. slope(logits (b, B), rows
    (b,), share of the steps done) -> (b, B) derivative of a row's loss by its logit. From zero weights, or `start`."""
    w = weight if weight.ndim == 2 else weight[:, None]
    v = np.zeros((x.shape[1], w.shape[1]), np.float32) if start is None else start.weights
    c = np.zeros(w.shape[1], np.float32) if start is None else start.bias
    w, v, c = np.broadcast_to(w / w.mean(0), (len(x), v.shape[1])), v.copy(), c.copy()
    kept, rng = np.flatnonzero(w.sum(1) > 0), np.random.default_rng([seed, 29])
    order = np.concatenate([rng.permutation(kept) for _ in range(epochs)])
    cuts = [order[i : i + batch] for i in range(0, len(order), batch)]
    first, second = np.zeros((len(v) + 1, len(c)), np.float32), np.zeros((len(v) + 1, len(c)), np.float32)
    scale = np.float32(len(kept) / len(x))  # so that a ridge means the same, however many rows were dropped
    for step, rows in enumerate(cuts):
        xb, s = x[rows], step / len(cuts)
        r = scale * w[rows] * slope(xb @ v + c, rows, s) / np.float32(len(rows))
        g = np.vstack([xb.T @ r + np.float32(ridge) * v, intercept * r.sum(0)]).astype(np.float32)
        first, second = 0.9 * first + 0.1 * g, 0.99 * second + 0.01 * g * g
        move = first / (1 - 0.9 ** (step + 1)) / (np.sqrt(second / (1 - 0.99 ** (step + 1))) + 1e-8)
        move = np.asarray(rate * (1 - s) * move, np.float32)
        v, c = v - move[:-1], c - move[-1] * intercept
    return Head(v, np.asarray(c, np.float32))
