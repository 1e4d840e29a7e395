"""Evolution strategy on the head (Salimans et al. 2017): refine a trained head by what needs no gradient
or label.

fitness(v) = mean_i [tanh|z_i| + trust (2 y_i - 1) tanh z_i],  z scaled to root mean square 1: a head
whose pool falls apart into two clear groups, without leaving the labels. Antithetic perturbations, step
along their ranks.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats
from aarlab.kit.heads import Head, fit
from aarlab.kit.task import W2STask


def evolve(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    ridge: float = 1e-2,
    generations: int = 15,
    pairs: int = 12,
    sigma: float = 0.1,
    rate: float = 0.3,
    trust: float = 1.0,
    dims: int = 64,
) -> Head:
    """A logistic head on (y, weight), then `generations` of `pairs` antithetic perturbations of its first
    `dims` weights, sized `sigma` times their norm. weight (n,) or (n, B); the columns are averaged
    first."""
    head = fit(x, y, weight, ridge=ridge, intercept=not task.paired).mean()
    w = weight if weight.ndim == 1 else weight.mean(1)
    w = (w / w.sum()).astype(np.float32)
    rng = np.random.default_rng([task.seed, 91])
    v, part = head.weights[:, 0].copy(), x[:, :dims]
    size = np.linalg.norm(v) + np.float32(1e-9)
    pull = np.float32(trust) * (2 * y - 1)
    unit = np.float32(1 / np.sqrt(part.shape[1]))
    for _ in range(generations):
        noise = rng.standard_normal((part.shape[1], pairs)).astype(np.float32) * unit
        centre, move = x @ v + head.bias[0], part @ noise * np.float32(sigma * size)
        fitness = np.stack([score(centre[:, None] + sign * move, pull, w) for sign in (1, -1)])
        rank = np.argsort(np.argsort(fitness.ravel())).reshape(2, pairs) / (2 * pairs - 1) - 0.5
        step = noise @ (rank[0] - rank[1]).astype(np.float32)
        v[: part.shape[1]] += (
            np.float32(rate * size) * step / (np.linalg.norm(step) + np.float32(1e-9)) * sigma
        )
    return Head(v[:, None], head.bias)


def score(z: Floats, pull: Floats, w: Floats) -> Floats:
    """(n, k) logits -> (k,) fitness."""
    t = np.tanh(z / (np.sqrt((z * z).mean(0)) + np.float32(1e-9)))
    return np.asarray(w @ (np.abs(t) + pull[:, None] * t), np.float32)
