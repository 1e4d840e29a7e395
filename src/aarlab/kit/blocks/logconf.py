"""Auxiliary confidence loss (Burns et al. 2023, appendix A.4): the student may disagree when it is sure.

    loss = CE(p, (1 - c) y + c h),   h = 1[p > t], detached; t keeps the labels' class balance.

The paper ramps c linearly up over the first fifth of training, in batches. A head is convex and small, so
here it is *full-batch*: stage s of S sets c = alpha min(1, s / (ramp S)), takes t over the whole pool,
and refits the head from where it stood. `kind`: "hard" as above; "entropy" replaces h by p (EleutherAI
w2s); "product" sets the target proportional to p^c y^(1 - c), the geometric mixture
(openai/weak-to-strong's product loss).
"""

import numpy as np

from aarlab.kit.blocks.base import Floats
from aarlab.kit.heads import Head, fit, logit, sigmoid
from aarlab.kit.task import W2STask

KINDS = ("hard", "entropy", "product")


def logconf(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    ridge: float = 1e-2,
    alpha: float = 0.5,
    stages: int = 6,
    ramp: float = 0.5,
    kind: str = "hard",
) -> Head:
    """weight (n,) or (n, B) -> Head of as many columns. Raises ValueError for an unknown kind or alpha
    not in [0, 1]."""
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r} of confidence loss; known: {', '.join(KINDS)}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], not {alpha}")
    y = y[:, None]
    w = weight if weight.ndim == 2 else weight[:, None]
    share = (w * y).sum(0) / w.sum(0)
    head = fit(x, y, w, ridge=ridge, intercept=not task.paired)
    for stage in range(1, stages + 1):
        c = np.float32(alpha * min(1.0, stage / max(ramp * stages, 1.0)))
        z = head.logits(x)
        target = (1 - c) * y + c * own(z, share, task.paired) if kind == "hard" else mixture(z, y, c, kind)
        head = fit(x, target, w, ridge=ridge, intercept=not task.paired, start=head)
    return head


def own(z: Floats, share: Floats, paired: bool) -> Floats:
    """(n, B) 1[z > t], t such that a share (B,) of rows lies above; 0 for pairs, whose balance is 1/2 by
    symmetry."""
    if paired:
        return (z > 0).astype(np.float32)
    t = [np.quantile(z[:, b], 1 - share[min(b, len(share) - 1)]) for b in range(z.shape[1])]
    return (z > np.asarray(t, np.float32)).astype(np.float32)


def mixture(z: Floats, y: Floats, c: np.float32, kind: str) -> Floats:
    """(n, B) soft target: (1 - c) y + c p for "entropy", normalised p^c y^(1 - c) for "product"."""
    if kind == "entropy":
        return (1 - c) * y + c * sigmoid(z)
    return sigmoid((1 - c) * logit(y) + c * z)
