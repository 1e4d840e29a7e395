"""Out-of-fold relabelling: each row's label is predicted by heads that never saw it.

A row whose teacher is wrong cannot vouch for its own mistake; with share 1 this is K-fold distillation,
with `drop` it is confident learning's pruning (Northcutt et al. 2021) of rows that the other folds
contradict most.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, mix
from aarlab.kit.heads import out_of_fold, sigmoid
from aarlab.kit.task import W2STask


def oof(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    folds: int = 5,
    ridge: float = 1e-2,
    share: float = 1.0,
    hard: bool = False,
    drop: float = 0.0,
) -> Labels:
    """y <- (1 - share) y + share p_oof (p_oof hardened if `hard`), after dropping the share `drop` with
    the largest |p_oof - y|."""
    z = out_of_fold(x, y, weight, ridge=ridge, intercept=not task.paired, folds=folds, seed=task.seed)
    p = sigmoid(z)
    agree = best(-np.abs(p - y), weight, 1 - drop).astype(np.float32)
    return mix(y, (z > 0).astype(np.float32) if hard else p, share), weight * agree
