"""The most frequent answer: a word, or the last digits of a result, that were right more often in practice."""

import re

import numpy as np

from aarlab.kit.task import W2STask

TABLE: dict[str, float] = {}  # token -> log odds of being right, from practice


def tokens(text: str) -> list[str]:
    """Words of a sentence; of a row of figures, its last one and two digits."""
    found = re.findall(r"\d", text)
    if len(found) > 3:
        return [f"-{found[-1]}", "-" + "".join(found[-2:])]
    return text.split()


def run(task: W2STask) -> np.ndarray:
    signs = (1, -1) if task.paired else (1,)
    score = np.array(
        [sum(s * TABLE.get(t, 0.0) for s, side in zip(signs, row, strict=True) for t in tokens(str(side)))
         for row in task.test.inputs]
    )  # fmt: skip
    return np.where(score == 0, task.teacher.test, 1 / (1 + np.exp(-np.clip(score, -20, 20))))
