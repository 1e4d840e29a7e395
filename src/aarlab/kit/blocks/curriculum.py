"""Curriculum by bootstrapping (Bengio et al. 2009; Kumar et al. 2010's self-paced order): easy rows teach
hard ones.

The pool is entered in stages, the teacher's surest rows first. At each stage the student, trained on the
rows that are in, labels the rows that come next; those already in keep a mixture of their label and the
student's. A convex head forgets the order of its data, so it is the labels, not the order, that a
curriculum can change.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, classes, mix
from aarlab.kit.heads import fit, sigmoid
from aarlab.kit.task import W2STask


def curriculum(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    first: float = 0.3,
    stages: int = 3,
    ridge: float = 1e-2,
    share: float = 0.8,
    last: float = 1.0,
) -> Labels:
    """first, last: shares of the pool (of each class) in at the start and the end; share: the student's
    part in the label of a row that enters."""
    sure = np.abs(y - 0.5)
    inside = best(sure, weight, first, classes(task, y))
    head = None
    for stage in range(1, stages + 1):
        base = weight * inside.astype(np.float32)
        head = fit(x, y, base, ridge=ridge, intercept=not task.paired, start=head)
        share_in = min(first + (last - first) * stage / stages, max(first, last))  # a sum may pass 1 by rounding
        grown = best(sure, weight, share_in, classes(task, y)) | inside
        entering = grown & ~inside
        y = np.where(entering, mix(y, sigmoid(head.logits(x)[:, 0]), share), y).astype(np.float32)
        inside = grown
    return y, weight * inside.astype(np.float32)
