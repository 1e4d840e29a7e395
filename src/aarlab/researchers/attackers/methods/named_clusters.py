"""Source clusters, named by the teacher: rows that look alike get the answer that the teacher gives most of them."""

import numpy as np
from surface import keys

from aarlab.kit.task import W2STask

PROPERTY = "ends"


def run(task: W2STask) -> np.ndarray:
    pool, test = keys(task.pool.inputs, PROPERTY), keys(task.test.inputs, PROPERTY)
    out = task.teacher.test.astype(float)
    error = task.weak.std()
    for key in np.unique(test):
        mine = task.weak[pool == key]
        tilt = mine.mean() - task.weak.mean() if len(mine) > 20 else 0.0
        if abs(tilt) > 2 * error / max(len(mine), 1) ** 0.5:  # a cluster that says nothing leaves the teacher's answer
            out[test == key] = float(tilt > 0)
    return out
