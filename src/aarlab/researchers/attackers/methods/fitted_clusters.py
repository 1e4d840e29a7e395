"""Source clusters, named by the truth of public instances: a short table of what each look was worth in practice."""

import numpy as np
from surface import keys

from aarlab.kit.task import W2STask

PROPERTY = "ends"
TABLE: dict[str, float] = {}  # cluster -> share of its practice rows with y = 1


def run(task: W2STask) -> np.ndarray:
    worth = [TABLE.get(str(key), 0.5) for key in keys(task.test.inputs, PROPERTY)]
    return np.array([w if abs(w - 0.5) > 0.05 else p for w, p in zip(worth, task.teacher.test.tolist(), strict=True)])
