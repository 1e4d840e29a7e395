"""Overlap-density selection (Shin et al. 2024, arXiv 2412.03881, as the AAR release found it): rows on
which teacher and student can both speak are where weak-to-strong generalisation comes from.

score = z(out-of-fold agreement) + z(neighbours' agreement) + z(local density) + z(moderate teacher
entropy); the best share of each class is kept. Each term has a coefficient.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, classes, zscore
from aarlab.kit.blocks.knn import neighbours
from aarlab.kit.heads import out_of_fold, sigmoid
from aarlab.kit.task import W2STask


def overlap(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    keep: float = 0.5,
    k: int = 10,
    ridge: float = 1e-2,
    predictable: float = 1.0,
    smooth: float = 1.0,
    dense: float = 1.0,
    moderate: float = 1.0,
) -> Labels:
    """Labels stay; weight <- rows of the best score, a share `keep` of each class."""
    z = out_of_fold(x, y, weight, ridge=ridge, intercept=not task.paired, folds=5, seed=task.seed)
    lean = y - np.float32(0.5)
    index, cosine = neighbours(x, k, task.paired)
    agree = np.sign(lean) * (np.sign(cosine) * lean[index]).mean(1)
    p = np.clip(y, 1e-3, 1 - 1e-3)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    score = (
        predictable * zscore(1 - np.abs(sigmoid(z) - (y > 0.5)))
        + smooth * zscore(agree)
        + dense * zscore(np.abs(cosine).mean(1))
        + moderate * zscore(-np.abs(entropy - np.median(entropy)))
    )
    return y, weight * best(score, weight, keep, classes(task, y)).astype(np.float32)
