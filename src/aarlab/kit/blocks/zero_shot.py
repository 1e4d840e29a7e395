"""Zero-shot: what the student already says, without any label, through its log-probabilities.

For a pair, s = log P(side 0) - log P(side 1); for a single row, s = log P(row), centred at the pool's
median. P(y = 1) = s(z(s)), z dividing by the root mean square on the pool: only the order and the sign of
s are its own.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels
from aarlab.kit.heads import logit, sigmoid
from aarlab.kit.represent import SUMMARIES, summaries
from aarlab.kit.task import W2STask


def zero_shot_scores(task: W2STask, summary: str = "sum") -> tuple[Floats, Floats]:
    """(n,), (m,) standardised scores of pool and test. summary: one of represent.SUMMARIES.

    Raises ValueError for a student without log-probabilities, or an unknown summary.
    """
    if summary not in SUMMARIES:
        raise ValueError(f"no summary {summary!r}; known: {', '.join(SUMMARIES)}")
    number = SUMMARIES.index(summary)
    pool, test = (summaries(task.student, part)[:, :, number] for part in ("pool", "test"))
    if task.paired:
        pool, test = pool[:, 0] - pool[:, 1], test[:, 0] - test[:, 1]
    else:
        middle = np.median(pool[:, 0])
        pool, test = pool[:, 0] - middle, test[:, 0] - middle
    rms = np.sqrt(np.mean(pool * pool)) + np.float32(1e-9)
    return pool / rms, test / rms


def zero_shot(task: W2STask, *, summary: str = "sum") -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(m,) P(y = 1) on the test with no training at all."""
    return sigmoid(zero_shot_scores(task, summary)[1]).astype(np.float64)


def zero_shot_prior(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    summary: str = "sum",
    strength: float = 1.0,
    trust: float = 1.0,
) -> Labels:
    """Product of experts (Hinton 2002): y <- s(trust logit y + strength * score)."""
    score = zero_shot_scores(task, summary)[0]
    return sigmoid(np.float32(trust) * logit(y) + np.float32(strength) * score), weight
