"""The losses of the released weak-to-strong code, on mini-batches, as it has them (Burns et al. 2023; openai/
weak-to-strong's loss.py; EleutherAI/w2s's loss.py). p: the student's P(y = 1); s: share of the steps done.

    cross_entropy  target y
    logconf        target (1 - c) y + c h,  h = 1[p > t], t the batch's quantile that keeps the mean of y
    entropy        the same with p, detached, in the place of h
    product        target proportional to p^beta y, detached
    window         target y, but only where max(p, 1 - p) < 1/2 + radius

c = alpha min(1, s / .1) is what the paper describes (ramp "paper"). The released code forgets to divide: c = alpha s up
to a tenth of the steps, then alpha at once, a tenfold jump (ramp "code"). KL(y || p) is cross-entropy less the entropy
of y, which no student changes: it is `cross_entropy`.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats
from aarlab.kit.descend import descend
from aarlab.kit.heads import Head, logit, sigmoid
from aarlab.kit.task import W2STask

LOSSES = ("cross_entropy", "logconf", "entropy", "product", "window")
RAMPS = ("paper", "code")
WARM = 0.1


def minibatch(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    loss: str = "logconf",
    ramp: str = "paper",
    alpha: float = 0.5,
    beta: float = 1.0,
    radius: float | None = 0.15,
    ridge: float = 1e-2,
    epochs: int = 4,
    rate: float = 3e-3,
) -> Head:
    """weight (n,) or (n, B) -> Head. radius None: the median of |y - 1/2|, EleutherAI's "midweak". For pairs t is 1/2,
    which exchanging the sides keeps. Raises ValueError for an unknown loss or ramp."""
    if loss not in LOSSES or ramp not in RAMPS:
        raise ValueError(f"no loss {loss!r} with ramp {ramp!r}; known: {', '.join(LOSSES)}; {', '.join(RAMPS)}")
    reach = float(np.median(np.abs(y - 0.5))) if radius is None else radius

    def slope(z: Floats, rows: NDArray[np.int64], s: float) -> Floats:
        label = y[rows, None]
        if loss == "window":
            return np.where(np.abs(sigmoid(z) - 0.5) < reach, sigmoid(z) - label, 0)
        c = alpha * coefficient(s, ramp)
        return np.asarray(sigmoid(z) - target(z, label, loss, c, beta, task.paired), np.float32)

    return descend(
        x, weight, slope, ridge=ridge, intercept=not task.paired, epochs=epochs, rate=rate, seed=task.seed
    )


def coefficient(s: float, ramp: str) -> float:
    """How far the auxiliary loss is in, of 1."""
    return min(1.0, s / WARM) if ramp == "paper" else (1.0 if s > WARM else s)


def target(z: Floats, y: Floats, loss: str, c: float, beta: float, paired: bool) -> Floats:
    """(b, B) what a batch is pulled to. z: (b, B) logits; y: (b, 1) labels."""
    if loss == "product":
        return sigmoid(np.float32(beta) * z + logit(y))
    if loss == "cross_entropy":
        return y
    t = 0.0 if paired else np.quantile(z, 1 - float(y.mean()), axis=0)
    own = sigmoid(z) if loss == "entropy" else (z > t).astype(np.float32)
    return np.asarray((1 - c) * y + c * own, np.float32)
