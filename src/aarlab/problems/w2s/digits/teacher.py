"""The weak teacher: the nearest of a few labelled pictures, seen coarsely.

A coarse picture of a digit two pixels further left is another picture, so the teacher's mistakes depend on
where and how a digit lies more than on which digit it is: within one digit they vary, and a student that sees
the digit wherever it lies can outvote them. (A linear teacher errs on whole digits, and nothing in the images
contradicts it.)
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from aarlab.problems.w2s.digits.data import CANVAS
from aarlab.problems.w2s.testbed import Labelled, Predict

BLOCK = 2  # pixels of the canvas that the teacher sees as one, each way
NEIGHBOURS = 3


def coarse(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 1, 12, 12) -> (n, 36) means of 2x2 blocks."""
    cells = CANVAS // BLOCK
    blocks = inputs.reshape(len(inputs), cells, BLOCK, cells, BLOCK)
    means: NDArray[np.float32] = blocks.mean((2, 4), dtype=np.float32).reshape(len(inputs), -1)
    return means


def fit(rows: Labelled, seed: int) -> Predict:
    """Vote of the nearest coarse pictures (Cover & Hart 1967). Nothing is random, so `seed` is unused."""
    model = KNeighborsClassifier(NEIGHBOURS).fit(coarse(rows.inputs), rows.y)
    return lambda new: np.asarray(model.predict_proba(coarse(new.inputs))[:, 1], dtype=np.float64)
