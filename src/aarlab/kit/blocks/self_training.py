"""Self-training: the student relabels the pool, keeps what it is sure of, and is trained again.

Scudder 1965; Lee 2013 (pseudo-labels); with soft labels, born-again distillation (Furlanello et al. 2018).
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, classes
from aarlab.kit.heads import fit, logit, sigmoid
from aarlab.kit.task import W2STask


def self_training(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    rounds: int = 3,
    ridge: float = 1e-2,
    keep: float = 0.5,
    hard: bool = True,
    trust: float = 0.0,
) -> Labels:
    """`rounds` times: fit on (y, weight); z = student's logit + trust * teacher's logit; y <- 1[z > 0] or
    s(z); weight <- rows of the largest |z|, a share `keep` of each class."""
    teacher = logit(y)
    base, head = weight, None
    for _ in range(rounds):
        head = fit(x, y, weight, ridge=ridge, intercept=not task.paired, start=head)
        z = head.logits(x)[:, 0] + np.float32(trust) * teacher
        y = (z > 0).astype(np.float32) if hard else sigmoid(z)
        weight = base * best(np.abs(z), base, keep, classes(task, sigmoid(z))).astype(np.float32)
    return y, weight
