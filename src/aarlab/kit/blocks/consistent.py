"""Unsupervised elicitation by fine-tuning (Wen et al. 2025, arXiv 2506.10139, its variant in folds): labels that the
student keeps giving when it is trained on its own.

A first guess (`elicit.first_guess`: zero-shot, clusters, or the teacher) is predicted out of fold, by heads on all the
other folds; a row goes on with the label that it was given there, and counts only if both agree. Repeated. The teacher
gives the sign.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, mix
from aarlab.kit.blocks.elicit import first_guess
from aarlab.kit.heads import out_of_fold
from aarlab.kit.task import W2STask


def consistent(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    start: str = "zero_shot",
    rounds: int = 3,
    folds: int = 5,
    ridge: float = 1e-2,
    share: float = 1.0,
) -> Labels:
    """y <- (1 - share) y + share 1[label]; weight <- rows whose label the other folds confirm. Raises ValueError for
    an unknown start."""
    label, kept = first_guess(task, x, y, start) > 0, weight
    for turn in range(rounds):
        z = out_of_fold(
            x, label.astype(np.float32), kept, ridge=ridge, intercept=not task.paired, folds=folds,
            seed=task.seed + turn,
        )  # fmt: skip
        if not task.paired:
            z = z - np.median(z)  # as many of one class as of the other
        agree = (z > 0) == label
        label, kept = z > 0, weight * agree.astype(np.float32)
        if not (kept[label].any() and kept[~label].any()):
            kept = weight
    if ((label - 0.5) * (y - 0.5) * weight).sum() < 0:
        label = ~label
    return mix(y, label.astype(np.float32), share), kept
