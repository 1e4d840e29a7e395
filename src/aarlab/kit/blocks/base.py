"""What blocks have in common.

A *relabeller* is f(task, x, y, weight, ...) -> (y, weight): x (n, D) represents the pool, y (n,) are
labels in [0, 1] and weight (n,) says how much each row counts. A *trainer* is f(task, x, y, weight, ...)
-> Head. Both may look at the task for what x does not hold; none sees a true label. Randomness comes from
task.seed alone.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.task import W2STask

Floats = NDArray[np.float32]
Labels = tuple[Floats, Floats]


def best(
    score: Floats, weight: Floats, keep: float, group: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """(n,) which rows are in the highest-scoring share `keep` of those with weight above 0, at least one;
    with `group`, that share of each of its two sides. Raises ValueError if keep is not in (0, 1].
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be in (0, 1], not {keep}")
    chosen = np.zeros(len(score), bool)
    inside = weight > 0
    for side in [inside] if group is None else [inside & group, inside & ~group]:
        rows = np.flatnonzero(side)
        count = int(np.ceil(keep * len(rows)))
        chosen[rows[np.argsort(-score[rows], kind="stable")[:count]]] = True
    return chosen


def classes(task: W2STask, p: Floats) -> NDArray[np.bool_] | None:
    """(n,) the predicted class, so that a selection can keep the balance; None for paired rows, whose
    class only says which side was written first."""
    return None if task.paired else p > 0.5


def mix(y: Floats, new: Floats, share: float) -> Floats:
    """(1 - share) y + share new."""
    return np.asarray((1 - share) * y + share * new, np.float32)


def zscore(a: Floats) -> Floats:
    return np.asarray((a - a.mean()) / (a.std() + 1e-9), np.float32)
