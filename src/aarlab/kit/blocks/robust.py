"""Losses that a wrong label cannot pull without end, beside gce.py. p: the student's P(y = 1), z its logit.

    symmetric cross-entropy (Wang et al. 2019)  alpha CE(y, p) + beta CE(p, y),  log 0 taken as A
    reverse KL (mode-seeking; Minka 2005)       KL(p || y)

Their derivatives by z are alpha (p - y) - beta p (1 - p) l_A and p (1 - p)(z - l), l the labels' log-odds.
"""

from collections.abc import Callable

import numpy as np

from aarlab.kit.blocks.base import Floats
from aarlab.kit.heads import Head, fit, logit, sigmoid
from aarlab.kit.task import W2STask


def symmetric(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    ridge: float = 1e-2,
    alpha: float = 0.1,
    beta: float = 1.0,
    floor: float = -4.0,
    rounds: int = 20,
) -> Head:
    """weight (n,) or (n, B) -> Head. floor: A. Raises ValueError if alpha or beta is negative, or both are 0."""
    if min(alpha, beta) < 0 or alpha + beta <= 0:
        raise ValueError(f"alpha and beta must be at least 0 and one above, not {alpha} and {beta}")
    least = np.exp(np.float32(floor))
    odds = (np.log(np.maximum(y, least)) - np.log(np.maximum(1 - y, least)))[:, None]

    def slope(z: Floats) -> Floats:
        p = sigmoid(z)
        return np.asarray(alpha * (p - y[:, None]) - beta * p * (1 - p) * odds, np.float32)

    return settle(task, x, y, weight, slope, alpha + beta * float(np.abs(odds).max()) / 4, ridge, rounds)


def reverse_kl(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    ridge: float = 1e-2,
    clip: float = 0.02,
    rounds: int = 20,
) -> Head:
    """weight (n,) or (n, B) -> Head. clip: labels are taken no nearer to 0 and 1, where the loss is infinite."""
    odds = logit(y, clip)[:, None]

    def slope(z: Floats) -> Floats:
        p = sigmoid(z)
        return np.asarray(p * (1 - p) * (z - odds), np.float32)

    return settle(task, x, y, weight, slope, 1.0 + float(np.abs(odds).max()) / 4, ridge, rounds)


def settle(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    slope: Callable[[Floats], Floats],
    curve: float,
    ridge: float,
    rounds: int,
) -> Head:
    """Head at which the mean slope and the ridge cancel: each round minimises curve * CE to the target p - slope /
    curve, whose derivative where it starts is the loss's own. A larger `curve` takes smaller, safer steps."""
    w = weight if weight.ndim == 2 else weight[:, None]
    head = fit(x, y[:, None], w, ridge=ridge, intercept=not task.paired)
    for _ in range(rounds):
        z = head.logits(x)
        goal = sigmoid(z) - slope(z) / np.float32(curve)
        head = fit(x, goal, w, ridge=ridge / curve, intercept=not task.paired, start=head)
    return head
