"""Length and format: a head on counts of characters, words and marks, taught by the teacher."""

import re

import numpy as np

from aarlab.kit import heads
from aarlab.kit.task import W2STask


def counts(inputs: np.ndarray) -> np.ndarray:
    """(n, S) -> (n, D) counts, side 0's minus side 1's."""
    sides = [
        [[len(t), len(t.split()), *(len(re.findall(p, t)) for p in (r"\d", r"[,;:]", r"[()]", r"\.$", r"[!?]"))]
         for t in map(str, row)]
        for row in inputs
    ]  # fmt: skip
    x = np.array(sides, np.float32)
    return x[:, 0] - x[:, 1] if x.shape[1] == 2 else x[:, 0]


def run(task: W2STask) -> np.ndarray:
    pool, test = counts(task.pool.inputs), counts(task.test.inputs)
    middle = 0 if task.paired else pool.mean(0)
    scale = pool.std(0) + 1e-6
    head = heads.fit((pool - middle) / scale, task.weak, ridge=1e-3, intercept=not task.paired)
    return head.predict((test - middle) / scale)
