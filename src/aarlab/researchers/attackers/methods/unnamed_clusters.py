"""Source clusters without a name: the rows are parted by how they look, and which part is right is guessed."""

import numpy as np
from surface import keys

from aarlab.kit.task import W2STask

PROPERTY = "ends"
FLIP = False


def run(task: W2STask) -> np.ndarray:
    test = keys(task.test.inputs, PROPERTY)
    out = task.teacher.test.astype(float)
    if task.paired:
        for i, key in enumerate(test):
            if key != "same":
                first, _, second = key.rpartition("|")
                out[i] = float((first < second) != FLIP)
        return out
    names, counts = np.unique(test, return_counts=True)
    largest = names[counts.argmax()]
    return ((test != largest) != FLIP).astype(float) if len(names) > 1 else out
