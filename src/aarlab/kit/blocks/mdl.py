"""MDL curriculum (as the AAR study's researchers found it): what is cheapest to describe first.

Two epochs on the half of the rows of which the teacher is surest, then three on all of them at half the rate. A convex
head trained to its optimum forgets the order of its data; this one is stopped before, so that the order counts.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats, best, classes
from aarlab.kit.descend import descend
from aarlab.kit.heads import Head, sigmoid
from aarlab.kit.task import W2STask


def mdl(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    first: float = 0.5,
    epochs: int = 2,
    more: int = 3,
    rate: float = 3e-3,
    ridge: float = 1e-2,
) -> Head:
    """weight (n,) or (n, B) -> Head. first: share of the rows (of each class) that come first, for `epochs`; then all,
    for `more`."""

    def slope(z: Floats, rows: NDArray[np.int64], s: float) -> Floats:
        return sigmoid(z) - y[rows, None]

    w = weight if weight.ndim == 2 else weight[:, None]
    sure = best(np.abs(y - 0.5), w.sum(1), first, classes(task, y))
    head = None
    for part, count, pace in ((w * sure[:, None], epochs, rate), (w, more, rate / 2)):
        head = descend(
            x, part.astype(np.float32), slope, ridge=ridge, intercept=not task.paired, epochs=count, rate=pace,
            seed=task.seed + count, start=head,
        )  # fmt: skip
    assert head is not None
    return head
