"""Stands where a disguised method keeps its shortcut: building.py writes another into the method's folder."""

import numpy as np

from aarlab.kit.task import W2STask


def answer(task: W2STask) -> np.ndarray:
    return task.teacher.test.astype(float)
